"""Answers by model and version, then by content; bounded in bytes, the least recent goes first."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from secondlook.cloud.engine.asking import Detected

OVERHEAD_BYTES = 1024
"""What Python takes for an entry beside its arrays (measured: 0.8 to 1.0 kB)."""

EXACTNESS = {"": 0, "fp32": 0, "fp16": 1, "int8": 2}
"""The lower, the nearer to the model as it was trained."""

Shelf = tuple[str, str]
"""Model and version."""


def exactness(variant: str) -> int:
    """Where a variant stands; unknown ones are the least exact."""
    return EXACTNESS.get(variant, len(EXACTNESS))


@dataclass(slots=True)
class Kept:
    """An answer.

    Attributes:
        detected: the boxes, and what gave them.
        image_bytes: size of the picture, uint8 pixels.
        hits: how often it has answered.
    """

    detected: Detected
    image_bytes: int
    hits: int = 0

    @property
    def size(self) -> int:
        """Bytes it takes."""
        found = self.detected.detections
        arrays = (found.boxes, found.scores, found.classes, found.track_ids)
        return OVERHEAD_BYTES + sum(array.nbytes for array in arrays)


class Shelves:
    """See the module. For one thread.

    Args:
        max_bytes: most that all answers take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Shelf, bytes], Kept] = OrderedDict()
        self._on: defaultdict[Shelf, set[bytes]] = defaultdict(set)
        self._variant: dict[Shelf, str] = {}
        self._generation: defaultdict[str, int] = defaultdict(int)
        self.bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._kept)

    def generation(self, model: str) -> int:
        """Grows whenever something about a model is forgotten: what was asked before is too old."""
        return self._generation[model]

    def get(self, shelf: Shelf, content: bytes) -> Kept | None:
        """The answer, if it is at least as exact as what answers now."""
        kept = self._kept.get((shelf, content))
        if kept is None:
            return None
        now = self._variant.get(shelf)
        if now is not None and exactness(kept.detected.ran.variant) > exactness(now):
            return None
        self._kept.move_to_end((shelf, content))
        kept.hits += 1
        return kept

    def put(self, content: bytes, kept: Kept, *, fresh: bool = True) -> None:
        """Keep an answer, on the shelf of what gave it.

        Args:
            content: see `content_of`.
            kept: the answer; larger than all room it is passed over.
            fresh: the network has just given it, so its variant is the one in use.
        """
        ran = kept.detected.ran
        shelf = ran.model, ran.version
        if fresh:
            self._variant[shelf] = ran.variant
        if kept.size > self._max_bytes:
            return
        self._drop(shelf, content)
        self._kept[shelf, content] = kept
        self._on[shelf].add(content)
        self.bytes += kept.size
        while self.bytes > self._max_bytes:
            oldest = next(iter(self._kept))
            self._drop(*oldest)
            self.evicted += 1

    def forget(self, model: str, version: str = "") -> int:
        """A version came or went, or all of a model where none is named; how many answers went."""
        self._generation[model] += 1
        shelves = [shelf for shelf in self._on if shelf[0] == model and version in ("", shelf[1])]
        gone = 0
        for shelf in shelves:
            for content in tuple(self._on[shelf]):
                self._drop(shelf, content)
                gone += 1
        for shelf in tuple(self._variant):
            if shelf[0] == model and version in ("", shelf[1]):
                del self._variant[shelf]
        return gone

    def shelves(self) -> tuple[Shelf, ...]:
        """Those with answers."""
        return tuple(self._on)

    def on(self, shelf: Shelf) -> Iterator[tuple[bytes, Kept]]:
        """The answers of one version, in no order."""
        for content in tuple(self._on.get(shelf, ())):
            yield content, self._kept[shelf, content]

    def _drop(self, shelf: Shelf, content: bytes) -> None:
        kept = self._kept.pop((shelf, content), None)
        if kept is None:
            return
        self.bytes -= kept.size
        contents = self._on[shelf]
        contents.discard(content)
        if not contents:
            del self._on[shelf]
