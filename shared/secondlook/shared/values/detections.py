"""What a detector saw in one frame, as a struct of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

NO_TRACK = -1
"""Track id of a detection that no tracker has seen."""

_least, _most = np.minimum.reduce, np.maximum.reduce  # half the time of the methods

BoolMask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """``n`` boxes of one frame. The arrays are never written to.

    Attributes:
        boxes: float32 (n, 4), x1 y1 x2 y2 in pixels of the native frame, x1 <= x2 and y1 <= y2.
        scores: float32 (n,), 0 to 1.
        classes: int32 (n,), indices into ``names``.
        names: class names of the model that spoke.
        track_ids: int64 (n,); ``NO_TRACK`` where no tracker has spoken.

    Raises:
        InvalidInput: shapes disagree, a number is not finite, a box is inverted, a score lies
            outside [0, 1] or a class outside ``names``.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int32]
    names: tuple[str, ...]
    track_ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        n = len(self.scores)
        if len(self.track_ids) == 0 and n:
            object.__setattr__(self, "track_ids", np.full(n, NO_TRACK, np.int64))
        shapes = self.scores.shape, self.classes.shape, self.track_ids.shape
        if self.boxes.shape != (n, 4) or shapes != ((n,), (n,), (n,)):
            raise InvalidInput(
                f"detections disagree in length: boxes {self.boxes.shape}, scores "
                f"{self.scores.shape}, classes {self.classes.shape}, "
                f"track_ids {self.track_ids.shape}"
            )
        if not n:
            return
        lowest, highest = _least(self.scores), _most(self.scores)
        if not (np.isfinite(self.boxes).all() and math.isfinite(lowest) and math.isfinite(highest)):
            raise InvalidInput("detections hold numbers that are not finite")
        if (self.boxes[:, 2:] < self.boxes[:, :2]).any():
            raise InvalidInput("detections hold a box whose x2 < x1 or y2 < y1")
        if lowest < 0 or highest > 1:
            raise InvalidInput("detections hold a score outside 0 to 1")
        self._check_classes()

    def _check_classes(self) -> None:
        if _least(self.classes) < 0 or _most(self.classes) >= len(self.names):
            raise InvalidInput(f"detections hold a class outside 0 to {len(self.names) - 1}")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls, names: tuple[str, ...]) -> Detections:
        """No boxes."""
        return _checked(
            np.empty((0, 4), np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int32),
            names,
            np.empty(0, np.int64),
        )

    @classmethod
    def of(
        cls,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        classes: npt.ArrayLike,
        names: Iterable[str],
        track_ids: npt.ArrayLike | None = None,
    ) -> Detections:
        """Build from anything array-like, converting dtypes."""
        n = len(np.atleast_1d(np.asarray(scores)))
        ids = np.full(n, NO_TRACK) if track_ids is None else track_ids
        return cls(
            np.asarray(boxes, np.float32).reshape(n, 4),
            np.asarray(scores, np.float32).reshape(n),
            np.asarray(classes, np.int32).reshape(n),
            tuple(names),
            np.asarray(ids, np.int64).reshape(n),
        )

    @classmethod
    def concatenate(cls, parts: Iterable[Detections], names: tuple[str, ...]) -> Detections:
        """Join parts that share ``names``.

        Raises:
            InvalidInput: a part speaks of other classes.
        """
        kept = list(parts)
        if any(p.names != names for p in kept):
            raise InvalidInput("detections of different class lists cannot be joined; rename first")
        if not kept:
            return cls.empty(names)
        return _checked(
            np.concatenate([p.boxes for p in kept]),
            np.concatenate([p.scores for p in kept]),
            np.concatenate([p.classes for p in kept]),
            names,
            np.concatenate([p.track_ids for p in kept]),
        )

    def select(self, which: BoolMask | Indices) -> Detections:
        """The rows that a mask or an index array names, in its order."""
        return _checked(
            self.boxes[which],
            self.scores[which],
            self.classes[which],
            self.names,
            self.track_ids[which],
        )

    def of_classes(self, wanted: Iterable[str]) -> Detections:
        """Only the rows whose class name is in ``wanted``."""
        keep = set(wanted)
        known = np.array([name in keep for name in self.names], bool)
        return self.select(known[self.classes] if len(self) else np.empty(0, bool))

    def renamed(self, names: tuple[str, ...]) -> Detections:
        """The same boxes over another class list, matched by name; unknown names are dropped."""
        if names == self.names:
            return self
        index = {name: i for i, name in enumerate(names)}
        table = np.array([index.get(name, -1) for name in self.names], np.int32)
        mapped = table[self.classes] if len(self) else self.classes
        kept = mapped >= 0
        return _checked(
            self.boxes[kept], self.scores[kept], mapped[kept], names, self.track_ids[kept]
        )

    def with_boxes(self, boxes: npt.NDArray[np.float32]) -> Detections:
        """The same rows at other places."""
        return replace(self, boxes=boxes)

    def with_track_ids(self, track_ids: npt.NDArray[np.int64]) -> Detections:
        """The same rows under other track ids."""
        return replace(self, track_ids=track_ids)

    def relabelled(
        self, classes: npt.NDArray[np.int32], track_ids: npt.NDArray[np.int64]
    ) -> Detections:
        """The same boxes and scores under other classes and track ids, as many as there are.

        Raises:
            InvalidInput: as for new ones.
        """
        n = len(self)
        if classes.shape != (n,) or track_ids.shape != (n,):
            raise InvalidInput(
                f"{n} detections get {classes.shape} classes and {track_ids.shape} track ids"
            )
        made = _checked(self.boxes, self.scores, classes, self.names, track_ids)
        if n:
            made._check_classes()
        return made

    def class_names(self) -> list[str]:
        """The class name of each row."""
        names = self.names
        return [names[index] for index in self.classes.tolist()]

    def areas(self) -> npt.NDArray[np.float32]:
        """float32 (n,), square pixels."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return sides[:, 0] * sides[:, 1]


def _checked(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int32],
    names: tuple[str, ...],
    track_ids: npt.NDArray[np.int64],
) -> Detections:
    """Rows of detections that were checked when they were made.

    Checking them again takes longer than all else about them, and a frame is selected from ten
    times on its way.
    """
    made = object.__new__(Detections)
    put = object.__setattr__
    put(made, "boxes", boxes)
    put(made, "scores", scores)
    put(made, "classes", classes)
    put(made, "names", names)
    put(made, "track_ids", track_ids)
    return made
