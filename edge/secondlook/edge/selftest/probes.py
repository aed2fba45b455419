"""What the ways that are not in force would send: tried out on real frames, and not sent.

Now and then a *probe* encodes, with encoders of its own,

- some whole frames in a row as a video: what a full stream would take;
- the next questions for the other carrier too: the ratio of their sizes.

It costs no byte on the wire. A whole frame takes about as long as an escalation does, so that a
probe comes rarely, and after the answer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier import Carried, Carrier
from secondlook.edge.regions import Canonical
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.shared.errors import SecondlookError
from secondlook.shared.values import Escalation, Region

CANVAS_OVERHEAD = 61.0
"""Bytes on the wire of an update beside its video; see docs/adr/0010."""
MOSAIC_OVERHEAD = 150.0
"""The same of a call that names everything, with one region."""
_FADE = 0.5
"""What earlier probes weigh once a new one is complete."""

Image = npt.NDArray[np.uint8]


def wire_bytes(packed: Carried | Escalation) -> float:
    """What a question takes on the wire."""
    overhead = MOSAIC_OVERHEAD if packed.canvas is None else CANVAS_OVERHEAD
    return len(packed.image) + overhead


class Probes:
    """Of one camera. Not safe for concurrent use.

    Args:
        settings: how often and how long.
    """

    def __init__(self, settings: SelftestSettings) -> None:
        self._settings = settings
        self._video: Carrier | None = None
        self._other: Carrier | None = None
        self._due_s = float("-inf")
        self._sizes: list[int] = []
        self._asks = 0
        self._mine = self._theirs = 0.0
        self._before = (0.0, 0.0)
        self.whole_bytes: float | None = None

    @property
    def wants_frames(self) -> bool:
        """Whether whole frames are wanted now."""
        return self._video is not None

    @property
    def ratio(self) -> float | None:
        """What the other carrier takes, over what the present one takes; ``None``: not known."""
        mine, theirs = self._before[0] + self._mine, self._before[1] + self._theirs
        if self._before[0] <= 0 and self._asks < self._settings.probe_asks:
            return None
        return theirs / mine if mine > 0 else None

    def begin(self, time_s: float, video: Carrier | None, other: Carrier | None) -> None:
        """Begin a probe; see `due`.

        Args:
            time_s: stream time, seconds.
            video: encodes whole frames; ``None``: that is not possible.
            other: the other carrier; ``None`` without one.
        """
        self._video, self._other = video, other
        self._sizes = []
        if self._mine > 0:
            self._before = (
                _FADE * self._before[0] + self._mine,
                _FADE * self._before[1] + self._theirs,
            )
        self._asks, self._mine, self._theirs = 0, 0.0, 0.0
        self._due_s = time_s + self._settings.probe_every_s

    def due(self, time_s: float) -> bool:
        """Whether it is time for the next probe."""
        return time_s >= self._due_s

    def forget(self) -> None:
        """The carriers have changed their parts."""
        self._before, self._mine, self._theirs, self._asks = (0.0, 0.0), 0.0, 0.0, 0
        self._other = None

    def frame(self, image: Image, canonical: Canonical, max_bytes: int) -> None:
        """A whole frame of the video that is tried out; the first is its key frame, and free."""
        if self._video is None:
            return
        try:
            carried = self._video.encode(image, (canonical.whole(),), canonical, max_bytes)
        except SecondlookError:
            self._video = None
            return
        self._sizes.append(len(carried.image))
        if len(self._sizes) > self._settings.probe_frames:
            found = float(np.mean(self._sizes[1:])) + CANVAS_OVERHEAD
            known = self.whole_bytes
            self.whole_bytes = found if known is None else _FADE * known + (1 - _FADE) * found
            self._video = None

    def question(
        self,
        image: Image,
        regions: tuple[Region, ...],
        canonical: Canonical,
        size_bytes: float,
        max_bytes: int,
    ) -> None:
        """A question of the present carrier; ``size_bytes``: what it took on the wire."""
        if self._other is None:
            return
        try:
            carried = self._other.encode(image, regions, canonical, max_bytes)
        except SecondlookError:
            self._other = None
            return
        if carried.canvas is not None and carried.canvas.key:
            # It is sent once.
            return
        self._mine += size_bytes
        self._theirs += wire_bytes(carried)
        self._asks += 1
        if self._asks >= self._settings.probe_asks:
            self._other = None
