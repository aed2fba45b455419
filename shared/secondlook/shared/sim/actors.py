"""Who is where at time t: closed-form trajectories of traffic and people.

Every actor lives in a slot; a slot's position grows for ever and wraps around the street's
length, and each round (`wrap`) is a new actor with a new look and a new track id.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from secondlook.shared.sim.config import BICYCLE, BUS, CAR, PERSON, TRUCK, StreetConfig
from secondlook.shared.sim.layout import LANE_M, Layout
from secondlook.shared.sim.vehicles import Vehicle, make_vehicle

AWAY, RIGHT, TOWARDS, LEFT = 0.0, math.pi / 2, math.pi, -math.pi / 2
"""Headings, radians."""

CYCLE_S = 24.0
"""Period of the traffic lights, seconds."""

_MAIN_SHARE = 0.56  # of the cycle, green for the main street
_ROAD_M = 120.0
_NEAREST_M = -6.0
_WALK_M, _WALK_FROM_M = 76.0, 5.0
_SPACING_M = 15.0
_ADVANCE = 7  # places a queue moves up in one green phase


@dataclass(frozen=True)
class Actor:
    """One actor at one moment. Metres, radians, metres per second."""

    kind: int
    track_id: int
    x: float
    z: float
    heading: float
    speed: float
    stride: float
    look: tuple[int, ...]
    vehicle: Vehicle | None = None
    parked: bool = False


@lru_cache(maxsize=4096)
def _vehicle(look: tuple[int, ...]) -> Vehicle:
    kind = int(np.random.default_rng((*look, 5)).choice([CAR, BUS, TRUCK], p=[0.66, 0.15, 0.19]))
    return make_vehicle(kind, look)


@lru_cache(maxsize=8192)
def _chance(look: tuple[int, ...]) -> tuple[float, ...]:
    """Eight numbers in 0..1 that belong to this actor."""
    return tuple(np.random.default_rng((*look, 9)).random(8).tolist())


def _green(time_s: float, start: float, share: float) -> float:
    """Cycles done, moving only while green: a smooth staircase."""
    turns = time_s / CYCLE_S - start
    whole = math.floor(turns)
    part = min((turns - whole) / share, 1.0)
    return whole + part * part * (3 - 2 * part)


class Traffic:
    """All actors of one street."""

    def __init__(self, config: StreetConfig, layout: Layout) -> None:
        self._config, self._layout = config, layout
        self._rng_offset = np.random.default_rng((config.seed, 2)).random(256).tolist()

    def at(self, time_s: float) -> list[Actor]:
        """Everyone on the street at `time_s`, in no special order."""
        actors: list[Actor] = []
        self._vehicles(time_s, actors)
        self._bicycles(time_s, actors)
        self._walkers(time_s, actors)
        self._standing(actors)
        self._parked(actors)
        if self._layout.junction is not None:
            self._crossing(time_s, actors)
        return actors

    def _round(self, slot: int, wrap: int) -> tuple[tuple[int, ...], int]:
        """The look's seed and the track id of a slot's actor in its wrap-th round."""
        wrap = wrap % 4096
        return (self._config.seed, 3, slot, wrap), (slot + 1) * 4096 + wrap

    def _vehicles(self, time_s: float, out: list[Actor]) -> None:
        layout, density = self._layout, self._config.density
        junction = layout.junction
        for index, lane in enumerate(layout.lanes):
            own = self._rng_offset[index]
            if junction is None:
                speed = 7.0 + 5.0 * own
                period = 17.0 + 9 * own
                pace = 0.7 * math.sin(2 * math.pi * time_s / period) * period / (2 * math.pi)
                progress = 300 * own + speed * (time_s + pace)
                velocity = speed * (1 + 0.7 * math.cos(2 * math.pi * time_s / period))
                aim = 0.0
            else:
                start = 0.015 * own
                step = _SPACING_M * _ADVANCE
                progress = step * _green(time_s, start, _MAIN_SHARE - 0.04)
                ahead = step * _green(time_s + 0.05, start, _MAIN_SHARE - 0.04)
                velocity = (ahead - progress) / 0.05
                stop = junction.zebra - 1.8 if lane.direction > 0 else junction.z + 5.2
                aim = (stop - _NEAREST_M) if lane.direction > 0 else (_ROAD_M + _NEAREST_M - stop)
            for place in range(int(_ROAD_M / _SPACING_M)):
                slot = 16 * index + place
                position = progress + aim + place * _SPACING_M
                wrap = math.floor(position / _ROAD_M)
                look, track = self._round(slot, wrap)
                luck = _chance(look)
                if luck[0] >= 0.5 * density:
                    continue
                vehicle = _vehicle(look)
                front = position - wrap * _ROAD_M
                if junction is None:
                    front -= 3.5 * luck[1]
                middle = front - vehicle.length / 2
                x = lane.x + 0.5 * (luck[2] - 0.5)
                if lane.direction > 0:
                    z, heading = _NEAREST_M + middle, AWAY
                else:
                    z, heading = _ROAD_M + _NEAREST_M - middle, TOWARDS
                if z - vehicle.length / 2 > 1.0:
                    out.append(
                        Actor(vehicle.kind, track, x, z, heading, velocity, 0.0, look, vehicle)
                    )

    def _crossing(self, time_s: float, out: list[Actor]) -> None:
        """Vehicles and people that cross the main street while its lights are red."""
        layout, density = self._layout, self._config.density
        junction = layout.junction
        assert junction is not None
        width = layout.right - layout.left
        start, share = _MAIN_SHARE + 0.04, 1 - _MAIN_SHARE - 0.09
        spacing = width + 14.0
        total = 4 * spacing
        moved = 2 * spacing * _green(time_s, start, share)
        velocity = 2 * spacing * (_green(time_s + 0.05, start, share)) / 0.05 - moved / 0.05
        for index, direction in enumerate((1, -1)):
            for place in range(4):
                slot = 600 + 8 * index + place
                # Queues stop with their front at the kerb: the places between are off the road.
                position = moved + place * spacing
                wrap = math.floor(position / total)
                look, track = self._round(slot, wrap)
                if _chance(look)[0] >= 0.6 * density:
                    continue
                vehicle = _vehicle(look)
                front = (position - wrap * total) - 2 * spacing + (layout.left - 4.0)
                along = front - vehicle.length / 2
                x = along if direction > 0 else layout.left + layout.right - along
                z = junction.z - direction * LANE_M / 2
                heading = RIGHT if direction > 0 else LEFT
                out.append(Actor(vehicle.kind, track, x, z, heading, velocity, 0.0, look, vehicle))
        walked = _green(time_s, start, share)
        for place in range(6):
            wrap = math.floor(walked)
            look, track = self._round(640 + place, wrap)
            luck = _chance(look)
            if luck[0] >= 0.55 * density:
                continue
            part = walked - wrap
            a, b = layout.left - 1.0, layout.right + 1.0
            if luck[1] < 0.5:
                a, b = b, a
            eased = min(max(part * 1.25 - 0.25 * luck[2], 0.0), 1.0)
            x = a + (b - a) * eased
            moving = 0 < eased < 1 and part > 0.001
            heading = RIGHT if b > a else LEFT
            cyclist = luck[3] < 0.3
            z = junction.zebra + 1.6 * (luck[4] - 0.5)
            out.append(
                Actor(
                    BICYCLE if cyclist else PERSON,
                    track,
                    x,
                    z,
                    heading,
                    1.5 if moving else 0.0,
                    eased * (b - a) * 3.6 if moving else 0.0,
                    look,
                )
            )

    def _bicycles(self, time_s: float, out: list[Actor]) -> None:
        layout, density = self._layout, self._config.density
        lanes = layout.bike_lanes or ()
        for index, lane in enumerate(lanes):
            for place in range(7):
                slot = 300 + 16 * index + place
                own = self._rng_offset[20 + 16 * index + place]
                speed = 3.6 + 0.5 * self._rng_offset[90 + index]
                position = speed * time_s + place * 13 + 6 * own
                wrap = math.floor(position / 91)
                look, track = self._round(slot, wrap)
                luck = _chance(look)
                if luck[0] >= 0.45 * density:
                    continue
                along = position - wrap * 91
                z = 3 + along if lane.direction > 0 else 94 - along
                heading = AWAY if lane.direction > 0 else TOWARDS
                x = lane.x + 0.25 * math.sin(0.7 * time_s + 9 * own)
                out.append(Actor(BICYCLE, track, x, z, heading, speed, 1.7 * position, look))

    def _walkers(self, time_s: float, out: list[Actor]) -> None:
        layout, density = self._layout, self._config.density
        for place in range(24):
            own = self._rng_offset[120 + place]
            direction = 1 if self._rng_offset[150 + place] < 0.5 else -1
            speed = 0.9 + 0.8 * self._rng_offset[180 + place]
            position = speed * time_s + own * _WALK_M
            wrap = math.floor(position / _WALK_M)
            look, track = self._round(400 + place, wrap)
            luck = _chance(look)
            if luck[0] >= 0.5 * density:
                continue
            along = position - wrap * _WALK_M
            z = _WALK_FROM_M + (along if direction > 0 else _WALK_M - along)
            left = luck[1] < 0.5
            a, b = (layout.left_walk, layout.left) if left else (layout.right, layout.right_walk)
            x = a + 0.4 + (b - a - 0.8) * luck[2] + 0.15 * math.sin(0.4 * time_s + 6 * own)
            heading = (AWAY if direction > 0 else TOWARDS) + 0.5 * (luck[3] - 0.5)
            out.append(Actor(PERSON, track, x, z, heading, speed, 1 + position * 3.6, look))

    def _standing(self, out: list[Actor]) -> None:
        layout, density = self._layout, self._config.density
        for place in range(10):
            look, track = self._round(440 + place, 0)
            luck = _chance(look)
            if luck[0] >= 0.5 * density:
                continue
            left = luck[1] < 0.5
            a, b = (layout.left_walk, layout.left) if left else (layout.right, layout.right_walk)
            x = a + 0.4 + (b - a - 0.8) * luck[2]
            z = 9 + 38 * luck[3] * luck[4]
            out.append(Actor(PERSON, track, x, z, luck[5] * 6.28, 0.0, 0.0, look))

    def _parked(self, out: list[Actor]) -> None:
        layout, density = self._layout, self._config.density
        for side, (wanted, x, heading) in enumerate(
            (
                (layout.left_parking, layout.left + 1.15, TOWARDS),
                (layout.right_parking, layout.right - 1.15, AWAY),
            )
        ):
            if not wanted:
                continue
            for place in range(8):
                look, track = self._round(500 + 16 * side + place, 0)
                luck = _chance(look)
                if luck[0] >= 0.5 * density:
                    continue
                vehicle = make_parked(look)
                z = 10 + 7.0 * place + 1.2 * luck[1]
                junction = layout.junction
                if junction is not None and abs(z - junction.z) < junction.half_width + 6.5:
                    continue
                out.append(Actor(CAR, track, x, z, heading, 0.0, 0.0, look, vehicle, True))


@lru_cache(maxsize=1024)
def make_parked(look: tuple[int, ...]) -> Vehicle:
    """A parked car of that look."""
    return make_vehicle(CAR, look)
