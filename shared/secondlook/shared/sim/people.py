"""People on foot and on bicycles, as flat figures and thin lines in perspective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from secondlook.shared.sim.brush import Colour, Image, disc, fill, limbs, rotation
from secondlook.shared.sim.layout import Points, View

_SKIN: tuple[Colour, ...] = ((150, 180, 220), (120, 150, 200), (80, 110, 160), (50, 70, 105))
_HAIR: tuple[Colour, ...] = ((25, 25, 28), (40, 60, 90), (70, 120, 170), (120, 120, 125))
_CLOTH: tuple[Colour, ...] = (
    (45, 42, 40), (150, 80, 40), (50, 50, 190), (60, 130, 60), (200, 200, 205), (60, 170, 220),
    (150, 60, 130), (100, 100, 105), (70, 90, 130), (190, 150, 60), (40, 110, 210),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (40, 38, 36), (110, 72, 45), (80, 80, 82), (95, 120, 140), (60, 45, 40), (140, 140, 138),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How one person looks; colours are blue, green, red."""

    height: float
    girth: float
    skin: Colour
    hair: Colour
    top: Colour
    trousers: Colour
    shoes: Colour
    coat: float
    bag: bool
    umbrella: bool


@lru_cache(maxsize=4096)
def make_look(seed: tuple[int, ...]) -> Look:
    """A person whose looks follow from `seed`."""
    rng = np.random.default_rng(seed)

    def pick(palette: tuple[Colour, ...]) -> Colour:
        b, g, r = palette[int(rng.integers(len(palette)))]
        shift = float(rng.normal(0, 8))
        return (max(b + shift, 15.0), max(g + shift, 15.0), max(r + shift, 15.0))

    return Look(
        height=float(rng.uniform(1.58, 1.92)) * (0.75 if rng.random() < 0.08 else 1.0),
        girth=float(rng.uniform(0.85, 1.2)),
        skin=pick(_SKIN),
        hair=pick(_HAIR),
        top=pick(_CLOTH),
        trousers=pick(_TROUSERS),
        shoes=(30.0, 30.0, 32.0),
        coat=float(rng.choice([0.0, 0.0, 0.12, 0.28])),
        bag=bool(rng.random() < 0.3),
        umbrella=bool(rng.random() < 0.5),
    )


def mannequin_look(shade: float) -> Look:
    """A shop-window figure: the outline of a person, all in one pale or dark colour."""
    c = (shade * 0.94, shade * 0.98, shade)
    return Look(1.75, 1.0, c, c, c, c, c, 0.0, False, False)


def draw_person(
    image: Image, view: View, look: Look, x: float, z: float, heading: float, stride: float
) -> Points:
    """Draw someone at (x, z), walking along `heading` with gait phase `stride` (radians).

    A standing person has `stride` 0. Returns the figure's points on the canvas, (n, 2) pixels.
    """
    s = view.scale(z)
    h, g = look.height, look.girth
    side = math.sin(heading)  # +-1 seen from the side, 0 from the front or the back
    swing = math.sin(stride)
    lift = 0.04 * h * abs(math.cos(stride)) if stride else 0.0
    spread = 0.17 * h * swing * side
    stance = 0.055 * h * g * (1 - 0.6 * abs(side))
    hip, shoulder = 0.5 * h, 0.82 * h
    half = 0.115 * h * g * (1 - 0.3 * abs(side))
    knee_bend = 0.05 * h * abs(swing) * (1 if side >= 0 else -1) * abs(side)

    joints = np.array([
        # legs: hip, knee, foot of the far and of the near leg
        (-stance * 0.7, hip), (-stance + spread * 0.55 + knee_bend, 0.26 * h),
        (-stance + spread, 0.03 * h + (lift if swing < 0 else 0.0)),
        (stance * 0.7, hip), (stance - spread * 0.55 + knee_bend, 0.26 * h),
        (stance - spread, 0.03 * h + (lift if swing > 0 else 0.0)),
        # arms: shoulder and hand
        (-half, shoulder - 0.02 * h), (-half * 1.25 - spread * 0.8, 0.46 * h),
        (half, shoulder - 0.02 * h), (half * 1.25 + spread * 0.8, 0.46 * h),
        # feet
        (-stance + spread + 0.09 * side, 0.02 * h), (stance - spread + 0.09 * side, 0.02 * h),
    ])  # fmt: skip
    pairs_a = joints[[0, 1, 3, 4, 6, 8, 2, 5]]
    pairs_b = joints[[1, 2, 4, 5, 7, 9, 10, 11]]
    widths = h * g * np.array([0.095, 0.075, 0.095, 0.075, 0.062, 0.062, 0.05, 0.05])
    quads = limbs(pairs_a, pairs_b, widths)
    torso = np.array([
        (-half * 0.82, hip - 0.03 * h - look.coat * h * 0.6), (-half * 0.8, 0.6 * h),
        (-half, shoulder), (-half * 0.45, 0.86 * h), (half * 0.45, 0.86 * h),
        (half, shoulder), (half * 0.8, 0.6 * h),
        (half * 0.82, hip - 0.03 * h - look.coat * h * 0.6),
    ])  # fmt: skip
    base = view.project(np.array([[x, 0.0, z]]))[0]

    def place(points: Points) -> Points:
        placed: Points = points * np.array([s, -s]) + base
        return placed

    dim = tuple(c * 0.8 for c in look.trousers)
    sleeve = tuple(c * 0.85 for c in look.top)
    placed = place(quads.reshape(-1, 2)).reshape(-1, 4, 2)
    order = ((6, look.shoes), (0, dim), (1, dim), (4, sleeve), (7, look.shoes), (2, look.trousers),
             (3, look.trousers))  # fmt: skip
    for index, colour in order:
        fill(image, placed[index], colour)
    body = place(torso)
    fill(image, body, look.top)
    fill(image, placed[5], sleeve)
    head = np.array([0.02 * h * side, 0.925 * h]) * (s, -s) + base
    radius = 0.068 * h * s
    disc(image, head[0] - 0.012 * h * s * side, head[1] - 0.012 * h * s, radius, look.hair)
    if math.cos(heading) < 0.5:  # the face is towards us, or in profile
        shift = 0.012 * h * s
        disc(image, head[0] + shift * side, head[1] + shift, radius * 0.82, look.skin)
    if look.bag:
        b = np.array([(-0.09, 0.62), (0.09, 0.62), (0.1, 0.8), (-0.1, 0.8)]) * h
        b[:, 0] = b[:, 0] * 0.75 - half * 0.8 * side
        if math.cos(heading) > -0.3:
            fill(image, place(b), (50, 60, 95))
    crown = np.array([[head[0] - radius, head[1] - radius], [head[0] + radius, head[1] - radius]])
    return np.concatenate([placed.reshape(-1, 2), body, crown])


_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)), np.sin(np.linspace(0, 2 * np.pi, 17))])


def draw_cyclist(
    image: Image, view: View, look: Look, x: float, z: float, heading: float, stride: float
) -> Points:
    """Draw a bicycle with its rider; like `draw_person`, `stride` turns the pedals."""
    wheel = 0.34
    rear, front = -0.52, 0.52
    saddle, bars = (-0.2, 0.95), (0.38, 1.02)
    crank = (-0.02, 0.3)
    # Along the bicycle (forward, up); the rider leans forward.
    plan = [*((rear + wheel * a, wheel + wheel * b) for a, b in _CIRCLE.T)]
    plan += [(front + wheel * a, wheel + wheel * b) for a, b in _CIRCLE.T]
    plan += [(rear, wheel), crank, saddle, bars, (front, wheel)]
    foot = 0.17
    for turn in (stride, stride + math.pi):
        pedal = (crank[0] + foot * math.cos(turn), crank[1] + foot * math.sin(turn))
        knee = ((saddle[0] + pedal[0]) / 2 + 0.2, (saddle[1] + pedal[1]) / 2 + 0.1)
        plan += [(saddle[0] + 0.05, saddle[1] + 0.05), knee, pedal]
    neck = (0.12, 1.45)
    plan += [neck, (0.3, 1.18), bars, (0.17, 1.62)]
    flat = np.asarray(plan)
    local = np.zeros((len(flat), 3))
    local[:, 2], local[:, 1] = flat[:, 0], flat[:, 1]
    n = 2 * 17
    local[n + 5 : n + 8, 0], local[n + 8 : n + 11, 0] = -0.1, 0.1
    p = view.project(local @ rotation(heading) + (x, 0.0, z))
    s = view.scale(z)
    rubber, frame = (28, 28, 30), tuple(c * 0.9 for c in look.trousers[::-1])
    tyre = max(0.055 * s, 0.9)

    def strokes(path: Points, width: float, colour: tuple[float, ...]) -> None:
        for quad in limbs(path[:-1], path[1:], np.full(len(path) - 1, width)):
            fill(image, quad, colour)

    strokes(p[:17], tyre, rubber)
    strokes(p[17:34], tyre, rubber)
    if s > 9:
        strokes(p[[n, n + 1, n + 3, n + 4]], max(0.045 * s, 0.8), frame)
        strokes(p[[n + 2, n + 1]], max(0.045 * s, 0.8), frame)
    g = look.girth
    strokes(p[n + 5 : n + 8], 0.12 * s * g, tuple(c * 0.8 for c in look.trousers))
    hip = (p[n + 5] + p[n + 8]) / 2
    trunk = np.stack([hip, p[n + 11]])
    broad = (0.24 + 0.14 * abs(math.cos(heading))) * s * g
    strokes(trunk, broad, look.top)
    strokes(p[n + 8 : n + 11], 0.12 * s * g, look.trousers)
    strokes(p[n + 11 : n + 14], 0.09 * s, tuple(c * 0.85 for c in look.top))
    head = p[n + 14]
    disc(image, head[0], head[1], 0.125 * s, look.skin if math.cos(heading) < 0.3 else look.hair)
    helmet = 0.05 * s
    disc(image, head[0], head[1] - helmet, 0.115 * s, look.top if look.bag else look.hair)
    edge = np.full(2, broad / 2)
    body = np.concatenate([trunk + (edge[:, None] * (1, 0)), trunk - (edge[:, None] * (1, 0))])
    crown = np.array([[head[0] - 0.13 * s, head[1] - 0.17 * s], [head[0] + 0.13 * s, head[1]]])
    return np.concatenate([p[:34], p[n + 5 :], body, crown])
