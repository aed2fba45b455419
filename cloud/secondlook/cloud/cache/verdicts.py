"""The verdict cache: what is kept, what is in progress, what is counted."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from secondlook.cloud.cache.flights import Flight
from secondlook.cloud.cache.metrics import HIT, MISS, SHARED, CacheMetrics
from secondlook.cloud.cache.shelves import Kept, Shelf, Shelves
from secondlook.cloud.engine.asking import Detected
from secondlook.cloud.engine.statistics import Duration, Statistics


@dataclass(slots=True)
class _Counts:
    hit: Duration = field(default_factory=Duration)
    miss: Duration = field(default_factory=Duration)


class VerdictCache:
    """Answers of detectors. For the event loop's thread.

    Args:
        max_bytes: most that the answers take.
        metrics: where to count.
        timer: tells how long a lookup took, seconds.
    """

    def __init__(
        self,
        max_bytes: int,
        metrics: CacheMetrics,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._metrics = metrics
        self._timer = timer
        self._counts: defaultdict[Shelf, _Counts] = defaultdict(_Counts)
        self.shelves = Shelves(max_bytes)
        self.flights: dict[tuple[Shelf, bytes], Flight] = {}
        metrics.watch(lambda: self.shelves.bytes, lambda: len(self.shelves))

    def now_s(self) -> float:
        """The timer, for `hit` and `miss`."""
        return self._timer()

    def hit(self, shelf: Shelf, kept: Kept, began_s: float) -> Detected:
        """An answer was there."""
        self._counts[shelf].hit.add(self._timer() - began_s)
        self._metrics.looked(*shelf, HIT)
        return self._spared(shelf, kept.detected, kept.image_bytes, "verdict cache")

    def missed(self, shelf: Shelf, began_s: float) -> None:
        """None was there."""
        self._counts[shelf].miss.add(self._timer() - began_s)
        self._metrics.looked(*shelf, MISS)

    def shared(self, shelf: Shelf, detected: Detected, image_bytes: int) -> Detected:
        """One in progress has become the answer of one more caller."""
        self._metrics.looked(*shelf, SHARED)
        return self._spared(shelf, detected, image_bytes, "shared with the same question")

    def keep(self, content: bytes, detected: Detected, image_bytes: int, generation: int) -> None:
        """Keep an answer, unless something about its model has changed since ``generation``."""
        if self.shelves.generation(detected.ran.model) != generation:
            return
        before = self.shelves.evicted
        self.shelves.put(content, Kept(detected, image_bytes))
        if self.shelves.evicted > before:
            self._metrics.evicted(self.shelves.evicted - before)

    def forget(self, model: str, version: str = "") -> None:
        """A version was loaded, changed or unloaded; all of the model where none is named."""
        gone = self.shelves.forget(model, version)
        if gone:
            self._metrics.outdated(gone)
        for shelf in tuple(self._counts):
            if shelf[0] == model and version in ("", shelf[1]):
                del self._counts[shelf]

    def counted(self, statistics: Statistics) -> Statistics:
        """The statistics of a version, with what the cache has done for it."""
        counts = self._counts.get((statistics.name, statistics.version))
        if counts is None:
            return statistics
        return replace(statistics, cache_hit=counts.hit, cache_miss=counts.miss)

    def _spared(self, shelf: Shelf, detected: Detected, image_bytes: int, why: str) -> Detected:
        ran = detected.ran
        self._metrics.saved(*shelf, image_bytes, ran.infer_s / max(1, ran.batch))
        return Detected(detected.detections, replace(ran, queue_s=0.0, infer_s=0.0, reason=why))
