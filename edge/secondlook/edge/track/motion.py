"""Where boxes will be: a Kalman filter of constant velocity, for all tracks of a camera at once.

Centre x, centre y, width and height are filtered apart from each other, so that the filter is a
handful of array operations for any number of tracks. Noise grows with the size of the box: an
object near the camera moves more pixels than one far away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared.geometry import Boxes

Floats = npt.NDArray[np.float64]

_MEASURED = 0.06
"""Standard deviation of a measured coordinate, in box sizes."""
_ACCELERATION = 1.5
"""Standard deviation of the acceleration, in box sizes a second squared."""
_FIRST_SPEED = 2.0
"""Standard deviation of the speed of a new track, in box sizes a second."""
_RESIZE = 0.3
"""How much less than places, sizes accelerate."""
_MIN_SIZE_PX = 4.0

_AXES = np.array([1.0, 1.0, _RESIZE, _RESIZE])


@dataclass(slots=True)
class Motion:
    """State of ``n`` boxes.

    Attributes:
        state: float64 (5, n, 4), of centre x, centre y, width and height, in pixels and seconds:
            their value, their speed, and the variance of the value, of value with speed, of speed.
            In one piece, so that rows are taken out and put back at once.
    """

    state: Floats

    @classmethod
    def empty(cls) -> Motion:
        """No boxes."""
        return cls(np.empty((5, 0, 4)))

    def __len__(self) -> int:
        return len(self.state[0])

    def boxes(self) -> Boxes:
        """float32 (n, 4), xyxy, as predicted or measured last."""
        place = self.state[0]
        half = np.maximum(place[:, 2:], 1.0) / 2
        centre = place[:, :2]
        return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)

    def add(self, boxes: Boxes) -> None:
        """Append boxes that stand still until they are measured again."""
        place = _to_place(boxes)
        size = _sizes(place)
        begun = np.zeros((5, *place.shape))
        begun[0] = place
        begun[2] = (2 * _MEASURED * size) ** 2
        begun[4] = (_FIRST_SPEED * size * _AXES) ** 2
        self.state = np.concatenate([self.state, begun], axis=1)

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Forget the boxes that the mask leaves out."""
        self.state = self.state[:, rows]

    def predict(self, seconds: float) -> None:
        """Move every box on by ``seconds``."""
        if seconds <= 0 or not len(self):
            return
        place, speed, own, mixed, fast = self.state
        noise = (_ACCELERATION * _sizes(place) * _AXES) ** 2
        place += speed * seconds
        own += 2 * seconds * mixed + seconds**2 * fast + noise * seconds**4 / 4
        mixed += seconds * fast + noise * seconds**3 / 2
        fast += noise * seconds**2
        np.maximum(place[:, 2:], 1.0, out=place[:, 2:])

    def measure(self, rows: npt.NDArray[np.intp], boxes: Boxes) -> None:
        """Correct the boxes at ``rows`` (unique) by what was seen: float32 (len(rows), 4)."""
        if not len(rows):
            return
        seen = _to_place(boxes)
        state = self.state[:, rows]
        place, _, own, mixed, fast = state
        # What a surprise says about the value, and about the speed.
        gains = state[2:4] / (own + (_MEASURED * _sizes(seen)) ** 2)
        state[:2] += gains * (seen - place)
        # The last first: it needs the one before as it was.
        fast -= gains[1] * mixed
        state[2:4] *= 1 - gains[0]
        self.state[:, rows] = state


def _to_place(boxes: Boxes) -> Floats:
    wide = boxes.astype(np.float64)
    low, high = wide[:, :2], wide[:, 2:]
    place = np.empty_like(wide)
    np.add(low, high, out=place[:, :2])
    place[:, :2] /= 2
    np.subtract(high, low, out=place[:, 2:])
    return place


def _sizes(place: Floats) -> Floats:
    """float64 (n, 4): width and height, twice, as yardsticks of the four coordinates."""
    sides = np.maximum(place[:, 2:], _MIN_SIZE_PX)
    return np.concatenate([sides, sides], axis=1)
