"""Where an object was between two verdicts: between their boxes.

The light model's box is a little beside the heavy model's, each time elsewhere. Over a fraction of
a second an object moves evenly enough that the straight line between two boxes of the heavy model
is nearer to what it would have said.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.fusion.history import Entry, History
from secondlook.shared.geometry import iou

MAX_GAP_S = 1.0
"""Between verdicts that lie further apart an object may have gone anywhere."""
_LEAST_IOU = 0.3
"""Overlap with the light model's box below which the line is not where the object went."""


def interpolate(history: History, judged: Entry, track_id: int) -> None:
    """Lay the boxes of a track between a verdict and its neighbours in time.

    Args:
        history: the answered frames.
        judged: one of them, about which a verdict has come; its box is in ``corrected``.
        track_id: the track.
    """
    entries = [
        e for e in history.around(judged, MAX_GAP_S) if e.time_s <= judged.time_s + MAX_GAP_S
    ]
    at = entries.index(judged)
    _between(entries[:at][::-1], judged, track_id)
    _between(entries[at + 1 :], judged, track_id)


def _between(others: list[Entry], judged: Entry, track_id: int) -> None:
    """Up to the first of ``others``, nearest first, about which there is a verdict too."""
    for place, other in enumerate(others):
        if track_id not in other.corrected:
            continue
        for entry in others[:place]:
            share = (entry.time_s - judged.time_s) / (other.time_s - judged.time_s)
            ends = judged.corrected[track_id], other.corrected[track_id]
            line = (ends[0] * (1 - share) + ends[1] * share).astype(np.float32)
            if _plausible(entry, track_id, line):
                entry.between[track_id] = line
        return


def _plausible(entry: Entry, track_id: int, box: npt.NDArray[np.float32]) -> bool:
    rows = np.flatnonzero(entry.tracked.track_ids == track_id)
    return len(rows) > 0 and bool(iou(entry.tracked.boxes[rows[:1]], box[None])[0, 0] >= _LEAST_IOU)
