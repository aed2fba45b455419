"""The street itself: sky, buildings, road and markings, drawn once per seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim.brush import Colour, Image, disc, fill
from secondlook.shared.sim.layout import Layout

_FACADES: tuple[Colour, ...] = (
    (150, 175, 195), (120, 145, 175), (95, 115, 165), (165, 170, 172), (130, 130, 128),
    (140, 160, 150), (105, 125, 140), (175, 190, 200), (85, 95, 130),
)  # fmt: skip
_FAR_M = 260.0
_ROAD: Colour = (92, 90, 88)
_PAINT: Colour = (190, 192, 192)


@dataclass(frozen=True)
class Backdrop:
    """The empty street on the canvas.

    Attributes:
        image: BGR uint8 (H, W, 3), by day.
        windows: BGR uint8 (H, W, 3), light of windows and lamps, to add at night.
        lamplight: float32 (H, W), 0..1, how much street lamps brighten each pixel.
    """

    image: Image
    windows: Image
    lamplight: NDArray[np.float32]


def draw_backdrop(layout: Layout, seed: int, lamps: list[tuple[float, float]]) -> Backdrop:
    """Draw the empty street; `lamps` are (x, z) of street lamps, metres."""
    rng = np.random.default_rng((seed, 4))
    view = layout.view
    image = _sky(layout, rng)
    windows = np.zeros_like(image)
    _skyline(image, layout, rng)
    _ground(image, layout, rng)
    for side in (-1, 1):
        _houses(image, windows, layout, rng, side)
    _texture(image, layout, rng)
    lamplight = np.full(image.shape[:2], 0.0, np.float32)
    for x, z in lamps:
        s = view.scale(z)
        foot, head = view.project(np.array([[x, 0.0, z], [x * 0.93, 5.2, z]]))
        if s * 4 > 4:
            pool = np.zeros_like(lamplight)
            centre = (int(foot[0]), int(foot[1]))
            axes = (max(int(6.5 * s), 1), max(int(6.5 * s * view.camera_height / z), 2))
            cv2.ellipse(pool, centre, axes, 0, 0, 360, 1.0, -1)
            top = np.array([head, (foot[0] - 5 * s, foot[1]), (foot[0] + 5 * s, foot[1])])
            cv2.fillConvexPoly(pool, np.rint(top).astype(np.int32), 0.7)
            lamplight = np.maximum(lamplight, cv2.GaussianBlur(pool, (0, 0), max(2.2 * s, 1)))
        disc(windows, head[0], head[1], max(0.22 * s, 0.8), (170, 225, 255))
    return Backdrop(image, windows, np.clip(lamplight, 0, 1))


def _sky(layout: Layout, rng: np.random.Generator) -> Image:
    view = layout.view
    rows = np.linspace(0, 1, view.height)[:, None, None]
    high = np.array([215, 170, 125]) + rng.normal(0, 12, 3)
    low = np.array([235, 222, 208]) + rng.normal(0, 6, 3)
    sky = np.broadcast_to(
        high + (low - high) * np.minimum(rows * 3, 1), (view.height, view.width, 3)
    )
    coarse = rng.random((12, 16)).astype(np.float32)
    clouds = cv2.resize(coarse, (view.width, view.height), interpolation=cv2.INTER_CUBIC)
    cover = np.clip((clouds - rng.uniform(0.35, 0.75)) * 2, 0, 1)[:, :, None] * 0.7
    image: Image = np.clip(sky * (1 - cover) + np.array([238, 236, 234]) * cover, 0, 255).astype(
        np.uint8
    )
    return image


def _skyline(image: Image, layout: Layout, rng: np.random.Generator) -> None:
    view = layout.view
    x = -20.0
    while x < view.width + 20:
        wide, tall = rng.uniform(14, 50), rng.uniform(4, view.height * 0.1)
        shade = rng.uniform(150, 190)
        points = [(x, view.horizon - tall), (x + wide, view.horizon - tall),
                  (x + wide, view.horizon + 3), (x, view.horizon + 3)]  # fmt: skip
        fill(image, np.array(points), (shade * 1.05, shade, shade * 0.95))
        x += wide * rng.uniform(0.6, 1.1)


def _strip(
    image: Image,
    layout: Layout,
    a: float,
    b: float,
    c: Colour,
    z: tuple[float, float],
    y: float = 0.0,
) -> None:
    """Fill the ground between x = a and b, from z[0] to z[1]."""
    corners = np.array([(a, y, z[0]), (b, y, z[0]), (b, y, z[1]), (a, y, z[1])])
    fill(image, layout.view.project(corners), c)


def _ground(image: Image, layout: Layout, rng: np.random.Generator) -> None:
    tone = rng.uniform(0.85, 1.15)
    road: Colour = (_ROAD[0] * tone, _ROAD[1] * tone, _ROAD[2] * tone)
    walk = tuple(float(v) for v in np.array([150, 156, 162]) * rng.uniform(0.85, 1.08))
    verge: Colour = (70, 125, 105) if layout.grass else (128, 138, 146)
    kerb: Colour = (178, 180, 182)
    whole = (1.0, _FAR_M)
    _strip(image, layout, -400, 400, verge, whole)
    _strip(image, layout, layout.left_walk, layout.right_walk, (walk[0], walk[1], walk[2]), whole)
    _strip(image, layout, layout.left - 0.18, layout.right + 0.18, kerb, whole)
    _strip(image, layout, layout.left, layout.right, road, whole)
    for lane in layout.bike_lanes:
        red = tuple(v * f for v, f in zip(road, (0.82, 0.9, 1.4), strict=True))
        _strip(image, layout, lane.x - 0.75, lane.x + 0.75, (red[0], red[1], red[2]), whole)
        _strip(image, layout, lane.x - 0.06 - 0.75 * lane.direction,
               lane.x + 0.06 - 0.75 * lane.direction, _PAINT, whole)  # fmt: skip
    junction = layout.junction
    gap = (0.0, 0.0)
    if junction is not None:
        near, far = junction.z - junction.half_width, junction.z + junction.half_width
        gap = (junction.zebra - 2.2, far + 5)
        _strip(image, layout, -300, 300, (walk[0], walk[1], walk[2]), (near - 2.8, far + 2.8))
        _strip(image, layout, -300, 300, road, (near, far))
        _strip(image, layout, layout.left, layout.right, road, (near - 3, far + 3))
        for x in np.arange(layout.left + 0.4, layout.right - 0.4, 1.0):
            zebra = junction.zebra
            _strip(image, layout, x, x + 0.5, _PAINT, (zebra - 1.3, zebra + 1.3))
    edges = {round(lane.x + side * 1.65, 2) for lane in layout.lanes for side in (-1, 1)}
    for x in sorted(edges):
        if abs(x - layout.road_x) < 0.1 and rng.random() < 0.6:
            for a, b in ((1.0, gap[0]), (gap[1], _FAR_M)) if junction else (whole,):
                _strip(image, layout, x - 0.08, x + 0.08, _PAINT, (a, b))
            continue
        for z in np.arange(2.0, 110, 6.0):
            if not gap[0] - 3 < z < gap[1]:
                _strip(image, layout, x - 0.07, x + 0.07, _PAINT, (z, z + 3))


def _houses(
    image: Image, windows: Image, layout: Layout, rng: np.random.Generator, side: int
) -> None:
    view = layout.view
    wall = layout.right_wall if side > 0 else layout.left_wall
    spans: list[tuple[float, float]] = []
    z = 4.0
    while z < 150:
        end = z + rng.uniform(8, 20)
        junction = layout.junction
        if junction is None or end < junction.z - 7 or z > junction.z + 7:
            spans.append((z, end))
        z = end + (rng.uniform(1, 8) if rng.random() < 0.3 else 0.0)
    for z0, z1 in reversed(spans):
        tall = float(rng.uniform(5, 17))
        base = np.array(_FACADES[int(rng.integers(len(_FACADES)))]) * rng.uniform(0.8, 1.1)
        setback = wall + side * rng.uniform(0, 1.2)

        def on_wall(
            za: float, zb: float, ya: float, yb: float, at: float = setback
        ) -> NDArray[np.float64]:
            return view.project(np.array([(at, ya, za), (at, ya, zb), (at, yb, zb), (at, yb, za)]))

        front = [(setback, 0, z0), (setback + side * 30, 0, z0), (setback + side * 30, tall, z0),
                 (setback, tall, z0)]  # fmt: skip
        fill(image, view.project(np.array(front)), (base * 0.8).tolist())
        fill(image, on_wall(z0, z1, 0, tall), base.tolist())
        fill(image, on_wall(z0, z1, tall - 0.4, tall), (base * 0.75).tolist())
        fill(image, on_wall(z0, z1, 0, 0.5), (base * 0.65).tolist())
        shop = rng.random() < 0.5
        step = rng.uniform(2.2, 3.2)
        for floor in range(int((tall - 0.8) // 3)):
            y = 0.9 + 3 * floor
            for za in np.arange(z0 + 0.6, z1 - 1.2, step):
                wide, high = (step - 0.5, 1.9) if shop and floor == 0 else (1.15, 1.5)
                pane = on_wall(za, min(za + wide, z1 - 0.3), y, y + high)
                fill(image, pane, (105, 88, 75) if rng.random() < 0.8 else (150, 140, 130))
                if rng.random() < (0.8 if shop and floor == 0 else 0.3):
                    glow = np.array([95, 170, 215]) * rng.uniform(0.5, 1.0)
                    fill(windows, pane, glow.tolist())


def _texture(image: Image, layout: Layout, rng: np.random.Generator) -> None:
    """Grain on everything, and darker patches on the asphalt."""
    view = layout.view
    grain = rng.normal(0, 3.2, image.shape[:2]).astype(np.float32)
    patch = np.empty(image.shape[:2], np.float32)
    blotches = rng.normal(0, 5, (24, 40)).astype(np.float32)
    cv2.resize(blotches, (view.width, view.height), dst=patch, interpolation=cv2.INTER_CUBIC)
    patch[: int(view.horizon)] *= 0.4
    grain = grain + patch
    for x in (layout.left_road, layout.right_road):
        z = float(rng.uniform(10, 25))
        fill(image, view.project(np.array([(x - 0.4, 0, z), (x + 0.4, 0, z), (x + 0.4, 0, z + 0.9),
                                           (x - 0.4, 0, z + 0.9)])), (60, 58, 57))  # fmt: skip
    image[:] = np.clip(image + grain[:, :, None], 0, 255)
