"""Drawing primitives: shaded solids and flat figures, antialiased, at subpixel positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim.layout import Points, View

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]
"""Blue, green, red, 0..255."""

_SHIFT = 4
_ONE = 1 << _SHIFT
_SUN = np.array([0.45, 0.75, -0.5])
_LIMIT = 20000.0


def fill(image: Image, points: Points, colour: Sequence[float]) -> None:
    """Fill a convex polygon, points (n, 2) in pixels."""
    fixed = (points * _ONE - (_ONE / 2 - 0.5)).astype(np.int32)
    cv2.fillConvexPoly(image, fixed, colour, cv2.LINE_AA, _SHIFT)


def disc(image: Image, x: float, y: float, radius: float, colour: Sequence[float]) -> None:
    """Fill a circle, pixels."""
    if abs(x) < _LIMIT and abs(y) < _LIMIT:
        centre = (round(x * _ONE) - _ONE // 2, round(y * _ONE) - _ONE // 2)
        cv2.circle(image, centre, max(round(radius * _ONE), 1), colour, -1, cv2.LINE_AA, _SHIFT)


def limbs(start: Points, end: Points, width: Points) -> Points:
    """Quads (n, 4, 2) around the segments start..end, each (n, 2), of widths (n,)."""
    along = end - start
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * (width / (2 * length))[:, None]
    return np.stack([start + across, start - across, end - across, end + across], axis=1)


@dataclass
class Solid:
    """A body of flat convex faces in its own coordinates: x across, y up, z forward (metres).

    Faces are drawn in the order they were added if they face the camera; a decal has the normal
    of the face it lies on. Add what lies behind or below first.
    """

    _faces: list[Points] = field(default_factory=list)
    _normals: list[Points] = field(default_factory=list)
    _colours: list[Colour] = field(default_factory=list)
    _flat: tuple[Points, Points, Points, Points, list[int]] | None = None

    def face(self, points: Sequence[Sequence[float]], normal: Sequence[float], c: Colour) -> None:
        """Add a convex face (or a decal on one)."""
        self._faces.append(np.asarray(points, dtype=np.float64))
        self._normals.append(np.asarray(normal, dtype=np.float64))
        self._colours.append(c)
        self._flat = None

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        colour: Colour,
        taper: tuple[float, float] = (0.0, 0.0),
        inset: float = 0.0,
    ) -> None:
        """Add a box; its top is `inset` narrower and `taper` shorter (rear, front)."""
        (x0, x1), (y0, y1), (z0, z1) = x, y, z
        a, b = z0 + taper[0], z1 - taper[1]
        left, right = x0 + inset, x1 - inset
        self.face([(x0, y0, z1), (x1, y0, z1), (right, y1, b), (left, y1, b)], (0, 0.01, 1), colour)
        self.face(
            [(x0, y0, z0), (x1, y0, z0), (right, y1, a), (left, y1, a)], (0, 0.01, -1), colour
        )
        self.face([(x0, y0, z0), (x0, y0, z1), (left, y1, b), (left, y1, a)], (-1, 0.01, 0), colour)
        self.face(
            [(x1, y0, z0), (x1, y0, z1), (right, y1, b), (right, y1, a)], (1, 0.01, 0), colour
        )
        self.face([(left, y1, a), (right, y1, a), (right, y1, b), (left, y1, b)], (0, 1, 0), colour)

    def arrays(self) -> tuple[Points, Points, Points, Points, list[int]]:
        """Vertices (v, 3), normals (f, 3), first corners (f, 3), colours (f, 3), face starts."""
        if self._flat is None:
            starts = [0]
            for face in self._faces:
                starts.append(starts[-1] + len(face))
            self._flat = (
                np.concatenate(self._faces),
                np.stack(self._normals),
                np.stack([f[0] for f in self._faces]),
                np.asarray(self._colours, dtype=np.float64),
                starts,
            )
        return self._flat


def draw_solid(
    image: Image, view: View, solid: Solid, x: float, z: float, heading: float, y: float = 0.0
) -> Points:
    """Draw a solid at (x, z) turned by `heading` (0 looks away from the camera, clockwise).

    Returns:
        The outline's points on the canvas, (v, 2) pixels.
    """
    vertices, normals, corners, colours, starts = solid.arrays()
    turn = rotation(heading)
    where = np.array([x, y, z])
    pixels = view.project(vertices @ turn + where)
    world_normals = normals @ turn
    to_camera = np.array([0.0, view.camera_height, 0.0]) - (corners @ turn + where)
    facing = np.einsum("ij,ij->i", world_normals, to_camera) > 0
    shade = 0.72 + 0.3 * np.maximum(world_normals @ _SUN, -0.4)
    shaded = np.minimum(colours * shade[:, None], 255).tolist()
    fixed = (pixels * _ONE - (_ONE / 2 - 0.5)).astype(np.int32)
    for index in np.flatnonzero(facing).tolist():
        cv2.fillConvexPoly(
            image, fixed[starts[index] : starts[index + 1]], shaded[index], cv2.LINE_AA, _SHIFT
        )
    return pixels


def rotation(heading: float) -> Points:
    """The (3, 3) matrix that turns row vectors clockwise about the vertical."""
    c, s = math.cos(heading), math.sin(heading)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
