"""The shapes of cars, buses and trucks, as solids made from a random appearance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from secondlook.shared.sim.brush import Colour, Solid
from secondlook.shared.sim.config import BUS, CAR, TRUCK

_CAR_PAINT: tuple[Colour, ...] = (
    (60, 58, 55), (200, 200, 198), (165, 168, 170), (110, 112, 115), (48, 44, 170),
    (160, 92, 40), (70, 48, 30), (62, 110, 60), (70, 160, 205), (190, 160, 110), (40, 75, 140),
)  # fmt: skip
_BUS_PAINT: tuple[Colour, ...] = (
    (45, 50, 190), (50, 170, 220), (185, 120, 40), (80, 150, 70), (205, 205, 205), (150, 60, 110),
)  # fmt: skip
_CARGO_PAINT: tuple[Colour, ...] = (
    (215, 215, 212), (180, 175, 165), (160, 100, 50), (60, 90, 170), (90, 140, 90), (60, 150, 200),
)  # fmt: skip
_GLASS: Colour = (88, 74, 62)
_TYRE: Colour = (30, 29, 28)
_RIM: Colour = (140, 140, 138)
_LAMP: Colour = (215, 235, 240)
_TAIL: Colour = (40, 35, 205)


@dataclass(frozen=True)
class Vehicle:
    """A body and its outer measures, metres."""

    kind: int
    parts: tuple[Solid, ...]  # rear to front
    length: float
    width: float
    height: float


def make_vehicle(kind: int, seed: tuple[int, ...]) -> Vehicle:
    """A vehicle of class `kind` (CAR, BUS or TRUCK) whose looks follow from `seed`."""
    rng = np.random.default_rng(seed)
    return {CAR: _car, BUS: _bus, TRUCK: _truck}[kind](rng)


def _paint(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    base = palette[int(rng.integers(len(palette)))]
    return (
        float(np.clip(base[0] + rng.normal(0, 9), 20, 235)),
        float(np.clip(base[1] + rng.normal(0, 9), 20, 235)),
        float(np.clip(base[2] + rng.normal(0, 9), 20, 235)),
    )


def wheels(solid: Solid, half: float, places: list[float], radius: float) -> None:
    """Add wheels on both sides at the given z, as decals that reach down to the ground."""
    angles = np.linspace(0, 2 * math.pi, 13)[:-1]
    for side in (-1.0, 1.0):
        for z in places:
            for size, colour in ((radius, _TYRE), (radius * 0.55, _RIM)):
                ring = [
                    (side * half * 1.01, radius + size * math.sin(a), z + size * math.cos(a))
                    for a in angles
                ]
                solid.face(ring, (side, 0, 0), colour)


def _windows(
    solid: Solid, half: float, y: tuple[float, float], spans: list[tuple[float, float]]
) -> None:
    for side in (-1.0, 1.0):
        for a, b in spans:
            x = side * half * 1.005
            corners = [(x, y[0], a), (x, y[0], b), (x, y[1], b), (x, y[1], a)]
            solid.face(corners, (side, 0, 0), _GLASS)


def _plate(
    solid: Solid, x: tuple[float, float], y: tuple[float, float], z: float, c: Colour
) -> None:
    """A rectangle on the front (z > 0) or on the rear (z < 0)."""
    side = math.copysign(1.0, z)
    corners = [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]
    solid.face(corners, (0, 0, side), c)


def _lights(solid: Solid, half: float, y: tuple[float, float], front: float, rear: float) -> None:
    for side in (-1, 1):
        x = (side * half * 0.62, side * half * 0.97)
        _plate(solid, x, y, front, _LAMP)
        _plate(solid, x, y, rear, _TAIL)


def _car(rng: np.random.Generator) -> Vehicle:
    shape = int(rng.integers(4))  # saloon, hatchback, estate or SUV, van
    length = (4.5, 3.9, 4.6, 4.9)[shape] * rng.uniform(0.95, 1.06)
    width = (1.78, 1.72, 1.85, 1.9)[shape] * rng.uniform(0.97, 1.04)
    height = (1.42, 1.48, 1.66, 1.92)[shape] * rng.uniform(0.97, 1.04)
    paint = _paint(rng, _CAR_PAINT)
    half, end = width / 2, length / 2
    belt = height * (0.6 if shape < 3 else 0.55)
    solid = Solid()
    solid.box((-half * 0.94, half * 0.94), (0.12, 0.4), (-end * 0.95, end * 0.95), (28, 27, 26))
    solid.box((-half, half), (0.3, belt), (-end, end), paint, taper=(0.06, 0.12), inset=0.03)
    wheels(solid, half, [-end * 0.6, end * 0.6], 0.33)
    _lights(solid, half, (belt * 0.66, belt * 0.86), end + 0.01, -end - 0.01)
    _plate(solid, (-0.26, 0.26), (0.42, 0.55), -end - 0.01, (215, 220, 220))
    _plate(solid, (-half * 0.55, half * 0.55), (0.36, 0.56), end + 0.01, (45, 43, 42))
    rear = -end + (0.75, 0.12, 0.1, 0.06)[shape]
    front = end - (1.15, 0.95, 1.15, 0.6)[shape]
    slope = ((0.55, 0.62), (0.4, 0.62), (0.28, 0.62), (0.1, 0.62))[shape]
    top = half - 0.14
    solid.box((-half + 0.03, half - 0.03), (belt, height), (rear, front), paint, slope, 0.11)
    low, high = belt + 0.03, height - 0.1
    lean = (high - belt) / (height - belt)
    a, b = rear + slope[0] * lean, front - slope[1] * lean
    glass_low, glass_high = half - 0.1, top - 0.02
    for z_low, z_high, side in ((front, b, 1.0), (rear, a, -1.0)):
        z_low, z_high = z_low + 0.012 * side, z_high + 0.012 * side
        solid.face(
            [(-glass_low, low, z_low), (glass_low, low, z_low), (glass_high, high, z_high),
             (-glass_high, high, z_high)], (0, 0.1, side), _GLASS,
        )  # fmt: skip
    middle = (a + b) / 2
    for side in (-1.0, 1.0):
        x_low, x_high = side * (half - 0.02), side * (half - 0.1)
        for z0, z1, t0, t1 in (
            (rear + 0.22, middle - 0.05, a + 0.1, middle - 0.05),
            (middle + 0.05, front - 0.22, middle + 0.05, b - 0.08),
        ):
            if shape == 3 and z0 < 0 and rng.random() < 0.5:
                continue  # a panel van has no rear windows
            solid.face(
                [(x_low, low, z0), (x_low, low, z1), (x_high, high, t1), (x_high, high, t0)],
                (side, 0.1, 0), _GLASS,
            )  # fmt: skip
    if rng.random() < 0.08:  # a taxi's sign
        solid.box((-0.25, 0.25), (height, height + 0.17), (-0.25, 0.05), (60, 200, 230))
    return Vehicle(CAR, (solid,), length, width, height)


def _bus(rng: np.random.Generator) -> Vehicle:
    length, width = rng.uniform(8.6, 10.6), 2.5
    height = rng.uniform(2.95, 3.25)
    paint = _paint(rng, _BUS_PAINT)
    band = _paint(rng, _BUS_PAINT) if rng.random() < 0.6 else paint
    half, end = width / 2, length / 2
    solid = Solid()
    solid.box((-half, half), (0.28, height), (-end, end), paint, taper=(0.05, 0.12), inset=0.05)
    for side in (-1.0, 1.0):
        x = side * half * 1.002
        solid.face([(x, 0.35, -end), (x, 0.35, end), (x, 0.95, end), (x, 0.95, -end)],
                   (side, 0, 0), band)  # fmt: skip
    count = int(rng.integers(5, 8))
    step = (length - 0.8) / count
    spans = [(-end + 0.4 + i * step + 0.1, -end + 0.4 + (i + 1) * step - 0.1) for i in range(count)]
    _windows(solid, half, (1.25, height - 0.55), spans)
    wheels(solid, half, [-end * 0.58, end * 0.62], 0.48)
    x = half * 1.01  # doors on the kerb side
    for z in (end - 1.5, 0.0):
        solid.face([(x, 0.35, z), (x, 0.35, z + 1.1), (x, 2.4, z + 1.1), (x, 2.4, z)],
                   (1, 0, 0), (70, 62, 55))  # fmt: skip
    front = end + 0.01
    _plate(solid, (-half * 0.9, half * 0.9), (1.15, height - 0.6), front, _GLASS)
    _plate(solid, (-half * 0.7, half * 0.7), (height - 0.48, height - 0.16), front, (35, 150, 235))
    _plate(solid, (-half * 0.8, half * 0.8), (1.6, height - 0.5), -front, _GLASS)
    _plate(solid, (-half * 0.4, half * 0.4), (0.7, 1.3), -front, (50, 50, 50))
    _lights(solid, half, (0.6, 0.85), front, -front)
    return Vehicle(BUS, (solid,), length, width, height)


def _truck(rng: np.random.Generator) -> Vehicle:
    length, width = rng.uniform(6.2, 9.4), rng.uniform(2.2, 2.5)
    height = rng.uniform(2.7, 3.5)
    cab, cargo = _paint(rng, _CAR_PAINT), _paint(rng, _CARGO_PAINT)
    half, end = width / 2, length / 2
    cab_rear, cab_top = end - rng.uniform(1.7, 2.1), rng.uniform(2.3, 2.7)
    back = cab_rear - 0.25

    body = Solid()
    body.box((-half * 0.85, half * 0.85), (0.45, 0.95), (-end, back), (42, 40, 38))
    wheels(body, half, [-end * 0.72, -end * 0.38], 0.46)
    if rng.random() < 0.25:  # a flatbed with its load
        body.box((-half, half), (0.95, 1.5), (-end, back), cargo)
        load, top = _paint(rng, _CARGO_PAINT), height * 0.75
        body.box((-half * 0.8, half * 0.8), (1.5, top), (-end * 0.8, back - 0.5), load)
        height = max(top, cab_top)
    else:
        body.box((-half, half), (0.95, height), (-end, back), cargo)
        if rng.random() < 0.6:  # the haulier's stripe
            stripe = _paint(rng, _CAR_PAINT)
            low, high = height * 0.55, height * 0.75
            for side in (-1.0, 1.0):
                x = side * half * 1.004
                body.face([(x, low, -end), (x, low, back), (x, high, back), (x, high, -end)],
                          (side, 0, 0), stripe)  # fmt: skip
        _plate(body, (-0.04, 0.04), (1.0, height - 0.05), -end - 0.01, (60, 60, 60))
        for x0 in (-half * 0.5, half * 0.5):
            _plate(body, (x0 - 0.03, x0 + 0.03), (1.1, height - 0.2), -end - 0.01, (95, 95, 95))
    for side in (-1, 1):
        _plate(body, (side * half * 0.65, side * half * 0.95), (0.62, 0.85), -end - 0.01, _TAIL)

    front = Solid()
    front.box((-half * 0.95, half * 0.95), (0.4, cab_top), (cab_rear, end), cab, (0, 0.3), 0.05)
    w = half * 0.82
    front.face([(-w, 1.4, end - 0.12), (w, 1.4, end - 0.12), (w, cab_top - 0.2, end - 0.26),
                (-w, cab_top - 0.2, end - 0.26)], (0, 0.1, 1), _GLASS)  # fmt: skip
    _windows(front, half * 0.95, (1.45, cab_top - 0.25), [(cab_rear + 0.45, end - 0.4)])
    wheels(front, half * 0.95, [end * 0.66], 0.46)
    _plate(front, (-w * 0.8, w * 0.8), (0.75, 1.25), end + 0.01, (50, 48, 46))
    for side in (-1, 1):
        _plate(front, (side * half * 0.6, side * half * 0.92), (0.6, 0.8), end + 0.01, _LAMP)
    return Vehicle(TRUCK, (body, front), length, width, height)
