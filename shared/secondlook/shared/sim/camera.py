"""The camera: puts layout, traffic, scenery and weather together into frames with truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim.actors import Actor, Traffic
from secondlook.shared.sim.backdrop import Backdrop, draw_backdrop
from secondlook.shared.sim.brush import Image, disc, draw_solid, rotation
from secondlook.shared.sim.config import BICYCLE, CLASS_NAMES, StreetConfig
from secondlook.shared.sim.layout import MARGIN, Layout, Points, make_layout
from secondlook.shared.sim.people import draw_cyclist, draw_person, make_look
from secondlook.shared.sim.scenery import Scenery, make_scenery
from secondlook.shared.sim.weather import (
    Conditions,
    apply_light,
    apply_rain,
    apply_sensor,
    conditions_at,
)
from secondlook.shared.values import Detections

MIN_HEIGHT_PX = 14.0
"""Objects lower than this in the frame are not fairly countable."""

MIN_VISIBLE = 0.6
"""Objects of which less than this share can be seen are not fairly countable."""

_MAX_ACTORS = 250  # the occlusion map is uint8 and 255 means scenery
_SCENERY = 255


@dataclass(frozen=True)
class StreetFrame:
    """One drawn frame.

    Attributes:
        image: BGR uint8 (H, W, 3).
        truth: every object that shows, boxes around what can be seen of it, xyxy pixels of the
            frame; score 1, stable track ids.
        ignore: bool (n,), objects too small or too hidden: neither a miss nor a false alarm.
        time_s: time since frame 0, seconds.
    """

    image: Image
    truth: Detections
    ignore: NDArray[np.bool_]
    time_s: float


@dataclass(frozen=True)
class _Stage:
    """What does not change from frame to frame."""

    layout: Layout
    scenery: Scenery
    backdrop: Backdrop


@lru_cache(maxsize=4)
def _stage(seed: int, width: int, height: int, lookalikes: float) -> _Stage:
    config = StreetConfig(seed=seed, width=width, height=height, lookalikes=lookalikes)
    layout = make_layout(config)
    scenery = make_scenery(config, layout)
    backdrop = draw_backdrop(layout, seed, scenery.lamps)
    for patch in scenery.patches:
        patch.put(backdrop.image)
    return _Stage(layout, scenery, backdrop)


class StreetCamera:
    """A simulated street camera; `draw(i)` is a pure function of the configuration and i."""

    def __init__(self, config: StreetConfig) -> None:
        self.config = config
        self._stage = _stage(config.seed, config.width, config.height, config.lookalikes)
        self._traffic = Traffic(config, self._stage.layout)

    def draw(self, index: int) -> StreetFrame:
        """Draw frame `index`.

        Raises:
            IndexError: `index` is negative, or not below `config.frames`.
        """
        config, stage = self.config, self._stage
        if index < 0 or (config.frames is not None and index >= config.frames):
            raise IndexError(f"frame {index} of a clip of {config.frames or 'endless'} frames")
        time_s = index / config.fps
        now = conditions_at(config, time_s)
        rng = np.random.Generator(np.random.Philox(key=[config.seed, index]))
        actors = sorted(self._traffic.at(time_s), key=_distance, reverse=True)[-_MAX_ACTORS:]

        image = stage.backdrop.image.copy()
        _cast_shadows(image, stage.layout, actors, now)
        owner = np.zeros(image.shape[:2], np.uint8)
        outlines = self._paint(image, owner, actors)
        self._light(image, owner, actors, now)
        dx, dy = now.shake
        crop = np.s_[MARGIN + dy : MARGIN + dy + config.height,
                     MARGIN + dx : MARGIN + dx + config.width]  # fmt: skip
        image = image[crop].copy()
        apply_rain(image, now.rain, rng)
        image = apply_sensor(image, now, rng)
        offset = (MARGIN + dx, MARGIN + dy)
        truth, ignore = _truth(actors, outlines, owner[crop], offset)
        return StreetFrame(image, truth, ignore, time_s)

    def _paint(self, image: Image, owner: Image, actors: list[Actor]) -> list[Points]:
        """Draw far to near; scenery is in the backdrop and redrawn only where it hides someone."""
        outlines: list[Points] = []
        dirty: list[tuple[float, float, float, float]] = []
        patches = list(self._stage.scenery.patches)
        view = self._stage.layout.view

        def scenery_before(distance: float) -> None:
            while patches and patches[0].distance >= distance:
                patch = patches.pop(0)
                x0, y0, x1, y1 = patch.box
                if any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in dirty):
                    patch.put(image)
                    owner[y0:y1, x0:x1][patch.solid] = _SCENERY
                    dirty.append((x0, y0, x1, y1))

        for number, actor in enumerate(actors, start=1):
            scenery_before(_distance(actor))
            if actor.vehicle is not None:
                parts = actor.vehicle.parts
                # The part nearer to the camera is drawn last.
                if math.cos(actor.heading) * actor.z + math.sin(actor.heading) * actor.x > 0:
                    parts = parts[::-1]
                points = np.concatenate([
                    draw_solid(image, view, part, actor.x, actor.z, actor.heading)
                    for part in parts
                ])  # fmt: skip
            else:
                draw = draw_cyclist if actor.kind == BICYCLE else draw_person
                look = make_look(actor.look)
                points = draw(image, view, look, actor.x, actor.z, actor.heading, actor.stride)
            low, high = points.min(axis=0), points.max(axis=0)
            dirty.append((low[0], low[1], high[0], high[1]))
            hull = cv2.convexHull(np.clip(points, -4000, 4000).astype(np.float32))
            cv2.fillConvexPoly(owner, np.floor(hull).astype(np.int32), number)
            outlines.append(points)
        scenery_before(0.0)
        return outlines

    def _light(self, image: Image, owner: Image, actors: list[Actor], now: Conditions) -> None:
        stage = self._stage
        if now.daylight > 0.6:
            apply_light(image, now, stage.backdrop.lamplight, None)
            return
        gloom = 1 - now.daylight
        glow = np.zeros_like(image)
        cv2.copyTo(stage.backdrop.windows, (owner == 0).view(np.uint8), glow)
        if gloom < 1:
            cv2.convertScaleAbs(glow, dst=glow, alpha=gloom)
        small = np.zeros((image.shape[0] // 4, image.shape[1] // 4, 3), np.uint8)
        for actor in actors:
            if actor.vehicle is not None and not actor.parked:
                _headlights(glow, small, stage.layout, actor)
        cv2.GaussianBlur(small, (0, 0), 2.2, dst=small)
        cv2.add(glow, cv2.resize(small, (image.shape[1], image.shape[0])), dst=glow)
        apply_light(image, now, stage.backdrop.lamplight, glow)


def _distance(actor: Actor) -> float:
    """From the camera to the nearest point of the footprint, metres."""
    if actor.vehicle is None:
        return math.hypot(actor.x, actor.z)
    along, across = actor.vehicle.length / 2, actor.vehicle.width / 2
    if abs(math.sin(actor.heading)) > 0.5:
        along, across = across, along
    return math.hypot(max(abs(actor.x) - across, 0.0), max(actor.z - along, 0.0))


def _cast_shadows(image: Image, layout: Layout, actors: list[Actor], now: Conditions) -> None:
    """Darken the ground beside everyone: long by a low sun, a mere contact shadow without."""
    view = layout.view
    top = max(int(view.horizon), 0)
    light = np.full(image.shape[:2], 255, np.uint8)
    sunny = now.daylight * (1 - min(2 * now.rain, 1.0))
    for actor in actors:
        vehicle = actor.vehicle
        if vehicle is not None:
            along, across, height = vehicle.length / 2, vehicle.width / 2, vehicle.height
        else:
            along, across, height = (0.8 if actor.kind == BICYCLE else 0.2), 0.22, 1.6
        foot = np.array([(-across, 0, -along), (across, 0, -along), (across, 0, along),
                         (-across, 0, along)])  # fmt: skip
        foot = foot @ rotation(actor.heading) + (actor.x, 0.0, actor.z)
        if sunny > 0.1:
            thrown = np.array([now.sun[0] * height, 0.0, now.sun[1] * height])
            foot = np.concatenate([foot, foot + thrown])
        pixels = np.clip(view.project(foot), -4000, 4000).astype(np.float32)
        hull = np.rint(cv2.convexHull(pixels) * 16).astype(np.int32)
        cv2.fillConvexPoly(light, hull, 150 if sunny > 0.1 else 185, cv2.LINE_AA, 4)
    part = cv2.blur(light[top:], (3, 3))
    cv2.multiply(image[top:], cv2.merge((part, part, part)), dst=image[top:], scale=1 / 255)


def _headlights(glow: Image, halo: Image, layout: Layout, actor: Actor) -> None:
    assert actor.vehicle is not None
    half, end = actor.vehicle.width * 0.38, actor.vehicle.length / 2
    lamps = np.array([(-half, 0.7, end), (half, 0.7, end), (-half, 0.75, -end), (half, 0.75, -end)])
    towards_us = actor.z - math.cos(actor.heading) * end
    world = lamps @ rotation(actor.heading) + (actor.x, 0.0, actor.z)
    if world[:, 2].min() < 2.5 or towards_us < 0:
        return
    pixels = layout.view.project(world)
    for (x, y), (_, _, depth), front in zip(pixels, world, (True, True, False, False), strict=True):
        seen = math.cos(actor.heading) < 0.5 if front else math.cos(actor.heading) > -0.5
        if not seen:
            continue
        s = layout.view.scale(depth)
        bright = (205, 235, 245) if front else (30, 25, 170)
        disc(glow, x, y, max(0.14 * s, 0.7), bright)
        dim = 0.55 if front else 0.3
        disc(halo, x / 4, y / 4, max(0.14 * s, 0.6), tuple(v * dim for v in bright))


def _truth(
    actors: list[Actor], outlines: list[Points], owner: Image, offset: tuple[int, int]
) -> tuple[Detections, NDArray[np.bool_]]:
    """Boxes of the visible parts, and who is too small or too hidden to count."""
    height, width = owner.shape
    boxes: list[tuple[float, float, float, float]] = []
    kinds: list[int] = []
    tracks: list[int] = []
    ignore: list[bool] = []
    for number, (actor, points) in enumerate(zip(actors, outlines, strict=True), start=1):
        x0, y0 = (float(v) for v in points.min(axis=0) - offset)
        x1, y1 = (float(v) for v in points.max(axis=0) - offset)
        left, top = max(int(x0) - 1, 0), max(int(y0) - 1, 0)
        right, bottom = min(int(x1) + 2, width), min(int(y1) + 2, height)
        if right - left < 2 or bottom - top < 2:
            continue
        mine = owner[top:bottom, left:right] == number
        rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
        if rows.size == 0:
            continue
        hull = cv2.convexHull(np.clip(points, -4000, 4000).astype(np.float32))
        area = max(float(cv2.contourArea(hull)), 1.0)
        # Pixels of the map count as whole, so a clear view of something small exceeds 1.
        visible = float(np.count_nonzero(mine)) / area
        seen = (left + int(columns[0]), top + int(rows[0]),
                left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)  # fmt: skip
        # The outline is exact where nothing hides it; the map only knows whole pixels.
        slack = 2.0
        bx0 = x0 if seen[0] - x0 < slack else float(seen[0])
        by0 = y0 if seen[1] - y0 < slack else float(seen[1])
        bx1 = x1 if x1 - seen[2] < slack else float(seen[2])
        by1 = y1 if y1 - seen[3] < slack else float(seen[3])
        box = (max(bx0, 0.0), max(by0, 0.0), min(bx1, float(width)), min(by1, float(height)))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            continue
        boxes.append(box)
        kinds.append(actor.kind)
        tracks.append(actor.track_id)
        ignore.append(box[3] - box[1] < MIN_HEIGHT_PX or visible < MIN_VISIBLE)
    count = len(boxes)
    truth = Detections(
        boxes=np.asarray(boxes, np.float32).reshape(count, 4),
        scores=np.ones(count, np.float32),
        classes=np.asarray(kinds, np.int32),
        track_ids=np.asarray(tracks, np.int64),
        names=CLASS_NAMES,
    )
    return truth, np.asarray(ignore, np.bool_)
