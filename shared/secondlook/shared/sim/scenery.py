"""Fixed things beside the road: trees, poles and look-alikes, as pre-drawn patches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim.brush import Image, disc, fill
from secondlook.shared.sim.config import StreetConfig
from secondlook.shared.sim.layout import Layout
from secondlook.shared.sim.lookalikes import Draw, place_lookalikes


@dataclass(frozen=True)
class Patch:
    """A pre-drawn thing.

    Attributes:
        distance: from the camera on the ground, metres; decides who hides whom.
        box: x0, y0, x1, y1 on the canvas, whole pixels.
        light: BGR uint8 (h, w, 3), already multiplied by the coverage.
        shade: uint8 (h, w, 3), 255 minus the coverage.
        solid: bool (h, w), where the thing hides what is behind.
    """

    distance: float
    box: tuple[int, int, int, int]
    light: Image
    shade: Image
    solid: NDArray[np.bool_]

    def put(self, image: Image) -> None:
        """Blend over the canvas, in place."""
        x0, y0, x1, y1 = self.box
        part = image[y0:y1, x0:x1]
        cv2.multiply(part, self.shade, dst=part, scale=1 / 255)
        cv2.add(part, self.light, dst=part)


@dataclass(frozen=True)
class Scenery:
    """All patches, far to near, and the (x, z) of street lamps."""

    patches: tuple[Patch, ...]
    lamps: list[tuple[float, float]]


def make_scenery(config: StreetConfig, layout: Layout) -> Scenery:
    """The fixed things of a street."""
    rng = np.random.default_rng((config.seed, 6))
    things: list[tuple[float, float, Draw]] = []
    lamps: list[tuple[float, float]] = []
    _trees(layout, rng, things)
    for side in (-1, 1):
        edge = layout.left - 0.5 if side < 0 else layout.right + 0.5
        for z in np.arange(rng.uniform(9, 16), 85, rng.uniform(14, 22)):
            if layout.clear_of_junction(z):
                lamps.append((edge, float(z)))
                things.append((edge, float(z), _lamp(layout, edge, float(z))))
    place_lookalikes(config, layout, rng, things)
    patches = [_render(layout, x, z, draw) for x, z, draw in things]
    kept = [p for p in patches if p is not None]
    return Scenery(tuple(sorted(kept, key=lambda p: -p.distance)), lamps)


def _render(layout: Layout, x: float, z: float, draw: Draw) -> Patch | None:
    """Draw on black and on white; the difference is the coverage."""
    shape = (layout.view.height, layout.view.width, 3)
    black, white = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
    draw(black)
    draw(white)
    shade = np.maximum(white, black) - black
    hit: NDArray[np.bool_] = np.min(shade, axis=2) < 250
    if not hit.any():
        return None
    ys, xs = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
    x0, x1, y0, y1 = int(xs[0]), int(xs[-1]) + 1, int(ys[0]), int(ys[-1]) + 1
    crop = np.s_[y0:y1, x0:x1]
    return Patch(
        distance=math.hypot(x, z),
        box=(x0, y0, x1, y1),
        light=black[crop].copy(),
        shade=shade[crop].copy(),
        solid=shade[crop][:, :, 1] < 128,
    )


def _trees(
    layout: Layout, rng: np.random.Generator, things: list[tuple[float, float, Draw]]
) -> None:
    for side in (-1, 1):
        walk = layout.left_walk if side < 0 else layout.right_walk
        edge = layout.left - 0.9 if side < 0 else layout.right + 0.9
        if rng.random() < 0.25:
            continue
        x = edge if rng.random() < 0.5 else walk
        for z in np.arange(rng.uniform(10, 20), 80, rng.uniform(11, 20)):
            if layout.clear_of_junction(z) and rng.random() < 0.75:
                seed = int(rng.integers(2**31))
                things.append((float(x), float(z), _tree(layout, float(x), float(z), seed)))


def _tree(layout: Layout, x: float, z: float, seed: int) -> Draw:
    view = layout.view

    def draw(image: Image) -> None:
        rng = np.random.default_rng(seed)
        s = view.scale(z)
        trunk = rng.uniform(0.13, 0.22)
        top = rng.uniform(2.6, 3.4)
        fill(image, view.project(np.array([
            (x - trunk, 0, z), (x + trunk, 0, z), (x + trunk * 0.7, top + 1, z),
            (x - trunk * 0.7, top + 1, z),
        ])), (52, 66, 84))  # fmt: skip
        green = np.array([50, 105, 75]) * rng.uniform(0.75, 1.2)
        crown = rng.uniform(1.3, 2.1)
        for i in range(34):
            a, r = rng.uniform(0, 2 * math.pi), crown * math.sqrt(rng.random())
            dx, dy = r * math.cos(a), 0.8 * r * math.sin(a)
            spot = view.project(np.array([(x + dx, top + crown * 0.8 + dy, z)]))[0]
            light = 0.72 + 0.2 * (dy - dx * 0.4) / crown + 0.012 * i * rng.random()
            disc(image, spot[0], spot[1], rng.uniform(0.3, 0.6) * s, (green * light).tolist())

    return draw


def _lamp(layout: Layout, x: float, z: float) -> Draw:
    view = layout.view

    def draw(image: Image) -> None:
        w = 0.07
        grey = (78, 80, 80)
        fill(
            image,
            view.project(
                np.array(
                    [(x - w, 0, z), (x + w, 0, z), (x + w * 0.7, 5.3, z), (x - w * 0.7, 5.3, z)]
                )
            ),
            grey,
        )
        a, b = sorted((x, x * 0.88))
        fill(image, view.project(np.array(
            [(a, 5.2, z), (b, 5.2, z), (b, 5.35, z), (a, 5.35, z)])), grey)  # fmt: skip

    return draw
