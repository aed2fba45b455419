"""What every head has in common: raw outputs of one image in, candidate boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import ModelFailure

Floats = npt.NDArray[np.float32]
Output = npt.NDArray[Any]
"""One output of the network for one image: the batch axis is gone."""

MAX_CANDIDATES = 1000
"""Most boxes of one image that go into suppression, the best ones; the rest cannot matter."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes that a network proposes for one image.

    Attributes:
        boxes: float32 (n, 4), xyxy, pixels of the network's input; may lie outside it.
        scores: float32 (n,).
        classes: int32 (n,).
    """

    boxes: Floats
    scores: Floats
    classes: npt.NDArray[np.int32]


class Head(Protocol):
    """Reads the outputs of one kind of network. Pure: the same outputs give the same boxes.

    Attributes:
        name: what configuration and metadata call it.
        suppressed: the network suppresses overlapping boxes itself.
    """

    @property
    def name(self) -> str:
        """See the class."""
        ...

    @property
    def suppressed(self) -> bool:
        """See the class."""
        ...

    def candidates(self, outputs: Sequence[Output], min_score: float) -> Candidates:
        """The boxes with at least ``min_score``, at most ``MAX_CANDIDATES``, in any order.

        Args:
            outputs: finite arrays, one per output, without the batch axis; not written to.
            min_score: 0 to 1.

        Raises:
            ModelFailure: a shape or a class that this head cannot have.
        """
        ...


def strongest(scores: Floats, min_score: float) -> npt.NDArray[np.intp]:
    """Indices of the scores of at least ``min_score``, at most ``MAX_CANDIDATES`` of them."""
    kept = np.flatnonzero(scores >= min_score)
    if len(kept) > MAX_CANDIDATES:
        best = np.argpartition(-scores[kept], MAX_CANDIDATES - 1)[:MAX_CANDIDATES]
        kept = kept[np.sort(best)]
    return kept


def corners(centres: Floats, sizes: Floats) -> Floats:
    """xyxy boxes, float32 (n, 4), of centres (n, 2) and sizes (n, 2)."""
    boxes = np.empty((len(centres), 4), np.float32)
    half = sizes * np.float32(0.5)
    np.subtract(centres, half, out=boxes[:, :2])
    np.add(centres, half, out=boxes[:, 2:])
    return boxes


def check_shape(head: str, output: Output, expected: tuple[int | None, ...]) -> None:
    """Refuse an output that does not have the shape its head needs; ``None`` is any length.

    Raises:
        ModelFailure: with both shapes.
    """
    fits = output.ndim == len(expected) and all(
        want is None or have == want for have, want in zip(output.shape, expected, strict=True)
    )
    if not fits:
        shape = " x ".join("any" if want is None else str(want) for want in expected)
        raise ModelFailure(
            f"the network gave an output of shape {output.shape} per image where "
            f"head {head!r} needs {shape}"
        )


def class_indices(head: str, given: Output, count: int) -> npt.NDArray[np.int32]:
    """The network's own class indices, int32 (n,).

    Raises:
        ModelFailure: one lies outside the class list; with both numbers.
    """
    wrong = given[(given < 0) | (given >= count)]
    if len(wrong):
        raise ModelFailure(
            f"the network (head {head!r}) gave class {wrong[0]:.6g}, its list has {count} classes"
        )
    return given.astype(np.int32)
