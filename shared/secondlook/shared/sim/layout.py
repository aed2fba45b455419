"""Where things are: the camera's perspective, the road, and the fixed places beside it.

World coordinates in metres: x to the right, y up, z away from the camera, the camera above the
origin. The lens is shifted, not tilted, so verticals stay vertical and the horizon is a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim.config import StreetConfig

MARGIN = 10
"""Pixels drawn beyond the frame on each side, so that shake has something to show."""

_NEAR_M = 0.8
LANE_M = 3.3

Points = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """The projection of world points onto the canvas (the frame plus MARGIN on each side)."""

    width: int
    height: int
    focal: float
    horizon: float
    centre: float
    camera_height: float

    def project(self, points: Points) -> Points:
        """World (n, 3) metres to canvas (n, 2) pixels; points behind are pulled to the front."""
        depth = np.maximum(points[:, 2], _NEAR_M)
        scale = self.focal / depth
        out = np.empty((len(points), 2))
        out[:, 0] = self.centre + points[:, 0] * scale
        out[:, 1] = self.horizon + (self.camera_height - points[:, 1]) * scale
        return out

    def scale(self, z: float) -> float:
        """Pixels per metre at depth z."""
        return self.focal / max(z, _NEAR_M)


@dataclass(frozen=True)
class Lane:
    """A lane of the main road (`direction` +1 leads away, -1 towards the camera)."""

    x: float
    direction: int


@dataclass(frozen=True)
class Junction:
    """A street crossing the main one between two depths; `zebra` is the nearer crossing's z."""

    z: float
    half_width: float

    @property
    def zebra(self) -> float:
        """Depth of the middle of the nearer zebra crossing."""
        return self.z - self.half_width - 2.2


@dataclass(frozen=True)
class Layout:
    """One street. Distances in metres; `left` and `right` are kerbs and `*_wall` the facades."""

    view: View
    lanes: tuple[Lane, ...]
    road_x: float
    left_road: float
    right_road: float
    left: float
    right: float
    left_walk: float
    right_walk: float
    left_wall: float
    right_wall: float
    left_parking: bool
    right_parking: bool
    bike_lanes: tuple[Lane, ...]
    junction: Junction | None
    grass: bool

    def clear_of_junction(self, z: float) -> bool:
        """Whether a thing at depth z stands clear of the crossing street."""
        return self.junction is None or abs(z - self.junction.z) > self.junction.half_width + 3


def make_layout(config: StreetConfig) -> Layout:
    """The street of `config.seed`, for the frame size of `config`."""
    rng = np.random.default_rng((config.seed, 1))
    width, height = config.width, config.height
    view = View(
        width=width + 2 * MARGIN,
        height=height + 2 * MARGIN,
        focal=width * rng.uniform(0.74, 0.98),
        horizon=MARGIN + height * rng.uniform(0.17, 0.31),
        centre=MARGIN + width * rng.uniform(0.34, 0.66),
        camera_height=rng.uniform(4.2, 6.8),
    )
    away, towards = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    road_x = float(rng.uniform(-2.5, 2.5))
    # Drive on the right: lanes leading away from the camera are right of the centre line.
    lanes = [Lane(road_x + LANE_M * (i + 0.5), 1) for i in range(away)]
    lanes += [Lane(road_x - LANE_M * (i + 0.5), -1) for i in range(towards)]
    right = road_x + LANE_M * away
    left = road_x - LANE_M * towards
    right_road, left_road = right, left
    bikes: list[Lane] = []
    if rng.random() < 0.75:
        bikes.append(Lane(right + 0.8, 1))
        right += 1.6
    if rng.random() < 0.75:
        bikes.append(Lane(left - 0.8, -1))
        left -= 1.6
    left_parking, right_parking = (bool(v) for v in rng.random(2) < 0.5)
    right += 2.3 * right_parking
    left -= 2.3 * left_parking
    right_walk = right + rng.uniform(2.6, 4.2)
    left_walk = left - rng.uniform(2.6, 4.2)
    junction = None
    if rng.random() < 0.55:
        junction = Junction(z=float(rng.uniform(22, 38)), half_width=3.5)
    return Layout(
        view=view,
        lanes=tuple(lanes),
        road_x=road_x,
        left_road=left_road,
        right_road=right_road,
        left=left,
        right=right,
        left_walk=left_walk,
        right_walk=right_walk,
        left_wall=left_walk - rng.uniform(0.3, 5),
        right_wall=right_walk + rng.uniform(0.3, 5),
        left_parking=left_parking,
        right_parking=right_parking,
        bike_lanes=tuple(bikes),
        junction=junction,
        grass=bool(rng.random() < 0.5),
    )
