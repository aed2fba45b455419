"""Histograms and counters for what is counted at every request: an addition, no lock.

prometheus_client takes a lock and some microseconds for each observation, since any thread may make
it. These are for one thread, the event loop; any thread may read them. What Prometheus reads is the
same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString


class HistogramChild:
    """One histogram, of one set of labels."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """One more, or several of one value; by the one thread."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def sorted_in(self, values: Iterable[float]) -> HistogramChild:
        """A histogram of these values, which nobody reads; to be joined, to one or to several."""
        those = HistogramChild(self._bounds)
        bounds, counts = self._bounds, those._counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            those._sum += value
        return those

    def join(self, other: HistogramChild) -> None:
        """What another of the same bounds has observed, too; by the one thread."""
        for place, count in enumerate(other._counts):
            self._counts[place] += count
        self._sum += other._sum

    def told(self) -> tuple[list[tuple[str, float]], float]:
        """Upper bounds with how many are below, and the sum; by any thread."""
        summed, counts = self._sum, tuple(self._counts)
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return [(name, float(n)) for name, n in zip(names, accumulate(counts), strict=True)], summed


class QuickHistogram:
    """As `prometheus_client.Histogram`, observed by one thread alone.

    Args:
        name: of the metric.
        text: what it tells.
        labels: names of its labels.
        buckets: upper bounds, growing, without infinity.
        registry: where it is read.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        *,
        buckets: Iterable[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = tuple(float(bound) for bound in buckets)
        self._children: dict[tuple[str, ...], HistogramChild] = {}
        registry.register(self)

    def labels(self, *values: str) -> HistogramChild:
        """The histogram of these labels; to be kept by who observes."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labels)}")
            child = self._children[values] = HistogramChild(self._bounds)
        return child

    def remove(self, *values: str) -> None:
        """Forget these labels. Safe to repeat."""
        self._children.pop(values, None)

    def describe(self) -> Iterator[Metric]:
        """What it is, for the registry."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """What was observed so far, for Prometheus."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in tuple(self._children.items()):
            buckets, summed = child.told()
            family.add_metric(list(values), buckets, summed)
        yield family


class CounterChild:
    """One counter, of one set of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """More; by the one thread."""
        self.value += amount


class QuickCounter:
    """As `prometheus_client.Counter`, counted by one thread alone; see `QuickHistogram`."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._children: dict[tuple[str, ...], CounterChild] = {}
        registry.register(self)

    def labels(self, *values: str) -> CounterChild:
        """The counter of these labels; to be kept by who counts."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labels)}")
            child = self._children[values] = CounterChild()
        return child

    def describe(self) -> Iterator[Metric]:
        """What it is, for the registry."""
        yield CounterMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """What was counted so far, for Prometheus."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in tuple(self._children.items()):
            family.add_metric(list(values), child.value)
        yield family
