"""The last known full-frame picture of each camera, in memory, bounded."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict

from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.detect.protocol import Image


class Backgrounds:
    """Least recently used cameras are forgotten first. Every method may be called by any thread.

    Args:
        max_cameras: most cameras remembered; 0 remembers none.
        max_age_s: an older picture is forgotten; the light has changed since.
        clock: the clock of the ages.
    """

    def __init__(self, max_cameras: int, max_age_s: float, clock: Clock | None = None) -> None:
        self._max_cameras = max_cameras
        self._max_age_s = max_age_s
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[str, int, int], tuple[float, Image, float]] = (
            OrderedDict()
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def remember(
        self,
        camera: str,
        frame_size: tuple[int, int],
        picture: Image,
        captured_at: float | None = None,
    ) -> None:
        """Keep ``picture`` (uint8 BGR, the whole frame at any scale); it is not copied.

        Args:
            camera: id of the camera.
            frame_size: width and height of its native frame: a camera that changes them has moved.
            picture: never written to from now on.
            captured_at: when it was taken, seconds since the Unix epoch. An edge sends what it
                could not send before: a picture older than the one that is kept changes nothing.
        """
        if not self._max_cameras:
            return
        key = (camera, *frame_size)
        taken_at = -math.inf if captured_at is None else captured_at
        with self._lock:
            now_s = self._clock.monotonic()
            kept = self._pictures.get(key)
            # Where an edge's clock went back, this ends with the age of what is kept.
            fresh = kept is not None and now_s - kept[0] <= self._max_age_s
            if kept is not None and fresh and captured_at is not None and taken_at < kept[2]:
                return
            self._pictures[key] = (now_s, picture, taken_at)
            self._pictures.move_to_end(key)
            while len(self._pictures) > self._max_cameras:
                self._pictures.popitem(last=False)

    def recall(self, camera: str, frame_size: tuple[int, int]) -> Image | None:
        """The last picture of that camera at that frame size, or ``None``."""
        key = (camera, *frame_size)
        with self._lock:
            entry = self._pictures.get(key)
            if entry is None:
                return None
            if self._clock.monotonic() - entry[0] > self._max_age_s:
                del self._pictures[key]
                return None
            self._pictures.move_to_end(key)
            return entry[1]
