"""Places where the light model may have missed an object: signs that need no box of it.

========  ==================================================  =============================
sign      what it is                                          expected loss of not asking
========  ==================================================  =============================
blob      something moves, and no box has covered it for      ``blob_loss``
          ``blob_frames`` frames; see `Blobs`
coasting  a confirmed track has lost its box, and no other    ``coasting_loss`` x its smoothed
          box has taken its place                             score x (1 - frames /
                                                              ``coasting_frames``)
prior     fewer objects than usual, and a place that mostly   ``prior_loss`` x share of frames
          holds one is empty                                  in which it does
view      the picture is dark or blurred; see `View`          ``view_loss`` x doubt
========  ==================================================  =============================

What `secondlook.edge.evidence.quiet` has heard of is left out: after a verdict that found nothing a
sign is not believed for ``quiet_s``, twice as long after each further one, and up to
``quiet_max_s`` while its place looks the same. So a flag in the wind costs a few questions a day.

A frame without boxes and without signs is confident: nothing is asked. Objects that give no sign at
all are found by audits alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail
from secondlook.edge.evidence.blobs import Blobs
from secondlook.edge.evidence.miss_settings import MissSettings
from secondlook.edge.evidence.quiet import Quiet
from secondlook.edge.evidence.view import Sighted, View
from secondlook.shared.geometry import Boxes, clip, coverage
from secondlook.shared.values import FrameRef

_HELD = 0.5
"""Share of a coasting track's box that another box covers, from which that one took its place."""
_ANSWERED = 0.9
"""Share of a place that regions must show for their verdict to speak about it."""
_FOUND = 0.3
"""Share of an object, or of the place, that the two must have in common."""


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """A place where an object may have been missed.

    Attributes:
        key: names the sign, the same from frame to frame.
        box: float32 (4,), xyxy, pixels of the native frame.
        loss: expected errors that a verdict would save, 0 to 1.
        reason: in plain words.
    """

    key: str
    box: npt.NDArray[np.float32]
    loss: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Coasting:
    """A confirmed track without a box in this frame.

    Attributes:
        track_id: its id.
        box: float32 (4,), where it should be, pixels of the native frame.
        score: what it was seen at, smoothed, 0 to 1.
    """

    track_id: int
    box: npt.NDArray[np.float32]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """Where this camera mostly shows objects.

    Attributes:
        shares: float64 (rows, columns), share of frames in which a cell holds the middle of an
            object that is of interest.
    """

    shares: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """What one frame shows beside its boxes.

    Attributes:
        suspects: the largest loss first.
        sighted: how well it can be seen.
    """

    suspects: tuple[Suspect, ...] = ()
    sighted: Sighted = field(default_factory=Sighted)


class Misses:
    """Of one camera, at one frame size. Not safe for concurrent use.

    Args:
        settings: of all signs.
        same_levels: grey levels by which a place may differ and still look the same.
    """

    def __init__(self, settings: MissSettings, same_levels: float) -> None:
        self._settings = settings
        self._blobs = Blobs(settings)
        self._view = View(settings)
        self._quiet = Quiet(settings, same_levels)
        self._coasted: dict[int, int] = {}

    def see(
        self,
        look: Thumbnail,
        frame: FrameRef,
        time_s: float,
        covered: Boxes,
        published: Boxes,
        coasting: Sequence[Coasting],
        usual: Usual | None,
    ) -> Signs:
        """The next frame.

        Args:
            look: its thumbnail.
            frame: which frame.
            time_s: its stream time, seconds.
            covered: float32 (n, 4), all boxes that are known, however weak.
            published: float32 (m, 4), the objects of the answer.
            coasting: tracks without a box.
            usual: where there mostly is something; ``None`` where that is not known.
        """
        settings = self._settings
        found: list[Suspect] = []
        if settings.blob_loss > 0:
            scale = np.float32(look.shape[1] / frame.width)
            for blob in self._blobs.see(look, covered * scale, time_s):
                if blob.frames >= settings.blob_frames:
                    box = clip(np.array([blob.box], np.float32) / scale, frame.width, frame.height)
                    why = f"something moves and no box covers it for {blob.frames} frames"
                    found.append(Suspect(f"blob {blob.number}", box[0], settings.blob_loss, why))
        if settings.coasting_loss > 0:
            found += self._lost(coasting, covered, frame)
        if usual is not None and settings.prior_loss > 0:
            found += empty_places(usual, published, covered, frame, settings)
        sighted = Sighted()
        if settings.view_loss > 0 or settings.view_gain > 0:
            sighted = self._view.see(look, time_s)
            if sighted.doubt * settings.view_loss > 0:
                whole = np.array([0, 0, frame.width, frame.height], np.float32)
                loss = sighted.doubt * settings.view_loss
                found.append(Suspect("view", whole, loss, sighted.reason))
        found.sort(key=lambda suspect: -suspect.loss)
        kept: list[Suspect] = []
        for suspect in found:
            if len(kept) >= settings.max_places:
                break
            if not self._quiet.holds(suspect.key, suspect.box, look, frame.width, time_s):
                kept.append(suspect)
        return Signs(tuple(kept), sighted)

    def answered(
        self,
        suspects: Iterable[Suspect],
        look: Thumbnail,
        time_s: float,
        regions: Boxes,
        objects: Boxes,
    ) -> None:
        """A verdict speaks about a frame.

        Args:
            suspects: those of that frame.
            look: its thumbnail.
            time_s: its stream time, seconds.
            regions: float32 (n, 4), what the heavy model was shown of it.
            objects: float32 (m, 4), what it saw there and the light model did not.
        """
        for suspect in shown_in(suspects, regions):
            box = suspect.box[None]
            found = len(objects) > 0 and bool(
                (np.maximum(coverage(objects, box).T, coverage(box, objects)) >= _FOUND).any()
            )
            self._quiet.answered(suspect.key, suspect.box, look, time_s, found=found)

    def _lost(self, coasting: Sequence[Coasting], covered: Boxes, frame: FrameRef) -> list[Suspect]:
        settings = self._settings
        before, self._coasted = self._coasted, {}
        fading = []
        for track in coasting:
            frames = self._coasted[track.track_id] = before.get(track.track_id, 0) + 1
            fade = 1.0 - (frames - 1) / settings.coasting_frames
            if fade > 0:
                fading.append((track, frames, fade))
        if not fading:
            return []
        boxes = clip(np.stack([track.box for track, *_ in fading]), frame.width, frame.height)
        sides = boxes[:, 2:] - boxes[:, :2]
        open_ = np.minimum(sides[:, 0], sides[:, 1]) >= 1
        if len(covered):
            open_ &= coverage(boxes, covered).max(axis=1) < _HELD
        out = []
        for row in open_.nonzero()[0].tolist():
            track, frames, fade = fading[row]
            loss = min(1.0, settings.coasting_loss * track.score * fade)
            why = f"track {track.track_id} has had no box for {frames} frames"
            out.append(Suspect(f"track {track.track_id}", boxes[row], loss, why))
        return out


def shown_in(suspects: Iterable[Suspect], regions: Boxes) -> list[Suspect]:
    """Those that regions, float32 (n, 4), show."""
    found = list(suspects)
    if not found or not len(regions):
        return []
    boxes = np.stack([suspect.box for suspect in found])
    shown = coverage(boxes, regions).max(axis=1) >= _ANSWERED
    return [suspect for suspect, is_shown in zip(found, shown, strict=True) if is_shown]


def empty_places(
    usual: Usual, published: Boxes, covered: Boxes, frame: FrameRef, settings: MissSettings
) -> list[Suspect]:
    """Cells that mostly hold an object and hold none now. A pure function.

    Looked for only where the frame has at least one object less than the mean frame: objects that
    moved elsewhere are no miss. A box anywhere in the eight cells around counts as there.

    Args:
        usual: where there mostly is something.
        published: float32 (n, 4), the objects of the answer.
        covered: float32 (m, 4), all boxes that are known.
        frame: which frame.
        settings: of signs.
    """
    missing = float(usual.shares.sum()) - len(published)
    rows, columns = usual.shares.shape
    often = usual.shares >= settings.prior_share
    if missing < 1.0 or not often.any():
        return []
    scale = np.array([columns / frame.width, rows / frame.height], np.float32)
    middles = ((covered[:, :2] + covered[:, 2:]) / 2 * scale).astype(np.intp)
    taken = np.zeros((rows + 2, columns + 2), bool)
    for column, row in middles.tolist():
        row, column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
        taken[row : row + 3, column : column + 3] = True
    often &= ~taken[1:-1, 1:-1]
    out = []
    for row, column in np.argwhere(often).tolist():
        share = min(1.0, float(usual.shares[row, column]))
        low = np.array([column - 1, row - 1], np.float32) / scale
        high = np.array([column + 2, row + 2], np.float32) / scale
        box = clip(np.concatenate([low, high])[None], frame.width, frame.height)
        why = f"{share:.0%} of the frames show an object here, and this one does not"
        loss = settings.prior_loss * share
        out.append(Suspect(f"cell {column},{row}", box[0], loss, why))
    out.sort(key=lambda suspect: -suspect.loss)
    return out[: max(1, int(missing))]
