"""Where an object that only the cloud saw is in the frames answered since. Nearly pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import difference
from secondlook.edge.fusion.history import Entry
from secondlook.shared.geometry import iou

_ADOPT_IOU = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """An object's way through the history.

    Attributes:
        unseen_in: frames in which the light model missed it, at a place that did not change.
        adopted: track id under which the light model sees it since; ``None`` where it never did.
        reaches_now: whether it can be followed to the last frame.
        box: float32 (4,), its last place.
    """

    unseen_in: tuple[Entry, ...]
    adopted: int | None
    reaches_now: bool
    box: npt.NDArray[np.float32]


def follow(
    box: npt.NDArray[np.float32], asked: Entry, later: Iterable[Entry], same_levels: float
) -> Trail:
    """Follow an object from the frame asked about to the last answered one.

    It is taken to be where it was while the place looks the same, until the light model starts a
    track there.

    Args:
        box: float32 (4,), where the cloud saw it.
        asked: the frame it saw it in.
        later: the frames after that, in order.
        same_levels: largest difference in grey levels of a place that has not changed.
    """
    unseen = [asked]
    for entry in later:
        adopted = _track_at(box, entry)
        if adopted is not None:
            return Trail(tuple(unseen), adopted, True, box)
        if difference(asked.look, entry.look, box, asked.frame.width) > same_levels:
            return Trail(tuple(unseen), None, False, box)
        unseen.append(entry)
    return Trail(tuple(unseen), None, True, box)


def _track_at(box: npt.NDArray[np.float32], entry: Entry) -> int | None:
    """The track of which nothing is believed yet that lies at a place."""
    if not len(entry.tracked):
        return None
    overlap = iou(box[None], entry.tracked.boxes)[0]
    best = int(overlap.argmax())
    track_id = int(entry.tracked.track_ids[best])
    if overlap[best] < _ADOPT_IOU or track_id < 0 or track_id in entry.beliefs:
        return None
    return track_id
