"""Things that look like an object and are none.

A look-alike has the outline and the colours of an object and differs in what is inside: a
mannequin for a person, a container for a truck, a kiosk for a bus, a hoop rack for a bicycle.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from secondlook.shared.sim.brush import Image, Solid, draw_solid
from secondlook.shared.sim.config import StreetConfig
from secondlook.shared.sim.layout import Layout
from secondlook.shared.sim.people import draw_person, make_look, mannequin_look

Draw = Callable[[Image], object]


def place_lookalikes(
    config: StreetConfig,
    layout: Layout,
    rng: np.random.Generator,
    things: list[tuple[float, float, Draw]],
) -> None:
    """Append (x, z, how to draw it) of every look-alike to `things`."""
    for _ in range(24):
        wanted = rng.random() < 0.5 * config.lookalikes
        side = -1 if rng.random() < 0.5 else 1
        kerb, walk = (
            (layout.left, layout.left_walk) if side < 0 else (layout.right, layout.right_walk)
        )
        part, z = rng.random(), 9 + 31 * rng.random() ** 1.3
        kind, seed = rng.random(), int(rng.integers(2**31))
        if not (wanted and layout.clear_of_junction(z)):
            continue
        x = kerb + (walk - kerb) * (0.15 + 0.7 * part)
        if kind < 0.3:
            draw = _mannequin(layout, x, z, seed)
        elif kind < 0.7:
            draw = _post(layout, x, z, seed)
        elif kind < 0.82:
            draw = _rack(layout, x, z, seed)
        else:
            x = walk + side * 1.3
            z = 14 + 30 * part
            if not layout.clear_of_junction(z):
                continue
            draw = _big_box(layout, x, z, side, seed)
        things.append((x, z, draw))


def _mannequin(layout: Layout, x: float, z: float, seed: int) -> Draw:
    """A shop's figure on a plinth, or a poster of a person on a board."""

    def draw(image: Image) -> None:
        rng = np.random.default_rng(seed)
        view = layout.view
        poster = rng.random() < 0.4
        shade = float(rng.choice([75, 150, 215]))
        if poster:
            solid = Solid()
            solid.box((-0.5, 0.5), (0.1, 2.05), (-0.05, 0.05), (205, 205, 200))
            solid.box((-0.42, 0.42), (0.2, 1.95), (-0.06, -0.05), (170, 180, 150))
            draw_solid(image, view, solid, x, z, 0.0)
            draw_person(image, view, make_look((seed, 1)), x, z, math.pi, 0.0)
            return
        solid = Solid()
        solid.box((-0.3, 0.3), (0.0, 0.16), (-0.3, 0.3), (60, 60, 60))
        draw_solid(image, view, solid, x, z, 0.0)
        draw_person(image, view, mannequin_look(shade), x, z, math.pi, 0.0)

    return draw


def _post(layout: Layout, x: float, z: float, seed: int) -> Draw:
    """A letter box, a bin, a hydrant or a ticket machine: upright, as wide as a person."""

    def draw(image: Image) -> None:
        rng = np.random.default_rng(seed)
        kind = int(rng.integers(4))
        solid = Solid()
        if kind == 0:
            body = (40.0, 40.0, 190.0) if rng.random() < 0.5 else (60.0, 190.0, 225.0)
            solid.box((-0.07, 0.07), (0, 0.6), (-0.07, 0.07), (60, 60, 60))
            solid.box((-0.3, 0.3), (0.6, 1.5), (-0.22, 0.22), body, inset=0.04)
            solid.box((-0.2, 0.2), (1.25, 1.32), (-0.24, -0.23), (25, 25, 25))
        elif kind == 1:
            b, g, r = rng.choice([(60, 90, 50), (70, 70, 70), (120, 70, 40)]).tolist()
            solid.box((-0.3, 0.3), (0, 1.1), (-0.3, 0.3), (b, g, r), inset=-0.05)
            solid.box((-0.36, 0.36), (1.1, 1.2), (-0.36, 0.36), (45, 45, 45))
        elif kind == 2:
            b, g, r = rng.uniform(60, 190, 3).tolist()
            solid.box((-0.28, 0.28), (0, 1.75), (-0.2, 0.2), (b, g, r))
            solid.box((-0.18, 0.18), (1.2, 1.55), (-0.21, -0.2), (190, 170, 120))
            solid.box((-0.1, 0.1), (0.8, 0.95), (-0.21, -0.2), (30, 30, 30))
        else:
            body = (50.0, 60.0, 170.0) if rng.random() < 0.5 else (150.0, 150.0, 150.0)
            solid.box((-0.17, 0.17), (0, 1.45), (-0.17, 0.17), body)
            solid.box((-0.24, 0.24), (1.45, 1.8), (-0.2, 0.2), (170, 120, 60))
            solid.box((-0.18, 0.18), (1.52, 1.72), (-0.21, -0.2), (235, 235, 235))
        draw_solid(image, layout.view, solid, x, z, 0.0)

    return draw


def _rack(layout: Layout, x: float, z: float, seed: int) -> Draw:
    """Hoops to lock bicycles to, without a bicycle."""

    def draw(image: Image) -> None:
        rng = np.random.default_rng(seed)
        view, count = layout.view, int(rng.integers(2, 5))
        angles = np.linspace(0, math.pi, 9)
        for i in range(count):
            depth = z + 0.7 * i
            arch = np.stack([x + 0.42 * np.cos(angles), 0.45 + 0.42 * np.sin(angles),
                             np.full(9, depth)], axis=1)  # fmt: skip
            legs = np.array([(x + 0.42, 0, depth), (x - 0.42, 0, depth)])
            path = view.project(np.concatenate([legs[:1], arch, legs[1:]]))
            points = np.rint(path * 16).astype(np.int32)
            thick = max(1, round(0.06 * view.scale(depth)))
            cv2.polylines(image, [points], False, (95, 98, 100), thick, cv2.LINE_AA, 4)

    return draw


def _big_box(layout: Layout, x: float, z: float, side: int, seed: int) -> Draw:
    """A container, a parked trailer, a kiosk, or a billboard with a picture of a car."""

    def draw(image: Image) -> None:
        rng = np.random.default_rng(seed)
        kind = int(rng.integers(4))
        solid = Solid()
        paint = np.array([(60, 90, 170), (150, 95, 50), (80, 140, 80), (200, 200, 198)])
        b, g, r = (float(v) for v in paint[int(rng.integers(4))] * rng.uniform(0.85, 1.1))
        half = 1.15
        if kind == 0:
            solid.box((-half, half), (0.05, 2.5), (-3, 3), (b, g, r))
            for i in range(13):
                za = -3 + 0.46 * i
                solid.face([(-side * half * 1.01, 0.2, za), (-side * half * 1.01, 0.2, za + 0.18),
                            (-side * half * 1.01, 2.4, za + 0.18), (-side * half * 1.01, 2.4, za)],
                           (-side, 0, 0), (b * 0.72, g * 0.72, r * 0.72))  # fmt: skip
        elif kind == 1:
            for za in (-2.6, 1.8):
                solid.box((-0.9, -0.75), (0, 0.95), (za, za + 0.15), (45, 45, 45))
                solid.box((0.75, 0.9), (0, 0.95), (za, za + 0.15), (45, 45, 45))
            solid.box((-half, half), (0.95, 3.0), (-3.2, 3.2), (b, g, r))
            solid.box((-half, half), (0.9, 1.0), (-3.25, 3.25), (50, 50, 50))
        elif kind == 2:
            solid.box((-half, half), (0, 2.7), (-2.6, 2.6), (b, g, r))
            solid.box((-half - 0.25, half + 0.25), (2.6, 2.85), (-2.9, 2.9), (70, 80, 95))
            at = -side * half * 1.01
            solid.face([(at, 1.0, -2.2), (at, 1.0, 2.2), (at, 2.2, 2.2), (at, 2.2, -2.2)],
                       (-side, 0, 0), (110, 150, 165))  # fmt: skip
            solid.face([(-0.8, 1.0, -2.61), (0.8, 1.0, -2.61), (0.8, 2.2, -2.61),
                        (-0.8, 2.2, -2.61)], (0, 0, -1), (110, 150, 165))  # fmt: skip
        else:
            solid.box((-1.9, -1.8), (0, 1.2), (0, 0.1), (60, 60, 60))
            solid.box((1.8, 1.9), (0, 1.2), (0, 0.1), (60, 60, 60))
            solid.box((-2.1, 2.1), (1.2, 3.4), (0, 0.12), (215, 215, 210))
            front = -0.01
            for points, colour in (
                ([(-1.6, 1.7), (1.6, 1.7), (1.55, 2.3), (-1.6, 2.3)], (b, g, r)),
                ([(-1.0, 2.3), (0.9, 2.3), (0.5, 2.85), (-0.7, 2.85)], (b * 0.8, g * 0.8, r * 0.8)),
                ([(-1.2, 1.5), (-0.7, 1.5), (-0.7, 1.9), (-1.2, 1.9)], (35, 35, 35)),
                ([(0.7, 1.5), (1.2, 1.5), (1.2, 1.9), (0.7, 1.9)], (35, 35, 35)),
            ):
                solid.face([(px, py, front) for px, py in points], (0, 0, -1), colour)
        draw_solid(image, layout.view, solid, x, z, 0.0)

    return draw
