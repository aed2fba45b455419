"""Signs that a verdict has looked into: they are not believed again for a while. Bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail, difference
from secondlook.edge.evidence.miss_settings import MissSettings
from secondlook.shared.geometry import iou

MAX_QUIET = 128
"""Most signs that are remembered."""
_SAME_IOU = 0.3
"""Signs whose boxes overlap by as much are about the same place."""


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """What a verdict said about a sign.

    Attributes:
        box: float32 (4,), where it was.
        look: thumbnail of the frame.
        at_s: stream time of the frame.
        until_s: until when it is not believed, however it looks.
        times: verdicts in a row that found nothing.
    """

    box: npt.NDArray[np.float32]
    look: Thumbnail
    at_s: float
    until_s: float
    times: int


class Quiet:
    """What verdicts have said about signs of misses, by sign and by place.

    Args:
        settings: times.
        same_levels: grey levels by which a place may differ and still look the same.
    """

    def __init__(self, settings: MissSettings, same_levels: float) -> None:
        self._settings = settings
        self._same_levels = same_levels
        self._heard: OrderedDict[str, _Heard] = OrderedDict()
        self._boxes: npt.NDArray[np.float32] = np.empty((0, 4), np.float32)

    def answered(
        self,
        key: str,
        box: npt.NDArray[np.float32],
        look: Thumbnail,
        at_s: float,
        *,
        found: bool,
    ) -> None:
        """A verdict has looked at a sign.

        Args:
            key: of the sign.
            box: float32 (4,), where it was.
            look: thumbnail of the frame asked about.
            at_s: stream time of that frame, seconds.
            found: whether an object is there.
        """
        before = self._heard.get(key) or self._near(box)
        self._heard.pop(key, None)
        settings = self._settings
        if found:
            heard = _Heard(box, look, at_s, at_s + settings.again_s, 0)
        else:
            times = 1 if before is None else before.times + 1
            wait_s = min(settings.quiet_s * 2.0 ** min(times - 1, 30), settings.quiet_max_s)
            heard = _Heard(box, look, at_s, at_s + wait_s, times)
        self._heard[key] = heard
        while len(self._heard) > MAX_QUIET:
            self._heard.popitem(last=False)
        self._boxes = np.stack([known.box for known in self._heard.values()])

    def holds(
        self,
        key: str,
        box: npt.NDArray[np.float32],
        look: Thumbnail,
        frame_width: int,
        time_s: float,
    ) -> bool:
        """Whether a sign is not to be believed now."""
        heard = self._heard.get(key) or self._near(box)
        if heard is None:
            return False
        if time_s < heard.until_s:
            return True
        if not heard.times or time_s >= heard.at_s + self._settings.quiet_max_s:
            return False
        return difference(heard.look, look, heard.box, frame_width) <= self._same_levels

    def _near(self, box: npt.NDArray[np.float32]) -> _Heard | None:
        """What was heard last about that place."""
        if not self._heard:
            return None
        near = np.flatnonzero(iou(box[None], self._boxes)[0] >= _SAME_IOU)
        return list(self._heard.values())[near[-1]] if len(near) else None
