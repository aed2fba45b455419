"""What one version has done, as the Open Inference Protocol's statistics extension counts it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Duration:
    """How often, and how long in all.

    Attributes:
        count: how often.
        ns: nanoseconds in all.
    """

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, times: int = 1) -> None:
        """``times`` more, each of ``seconds``."""
        self.count += times
        self.ns += int(seconds * 1e9) * times

    def join(self, other: Duration) -> None:
        """What another counted, too."""
        self.count += other.count
        self.ns += other.ns


DURATIONS = (
    *("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"),
    *("cache_hit", "cache_miss"),
)


@dataclass(slots=True)
class Statistics:
    """Since the version was loaded; counted by its batcher.

    Attributes:
        name: the model.
        version: the version.
        last_inference_ms: wall clock of the last request, milliseconds since 1970; 0: none yet.
        inferences: rows that were answered.
        executions: calls of the network.
        success: requests answered, from acceptance to answer.
        fail: requests that failed.
        queue: waiting for the device.
        compute_input: putting a batch together.
        compute_infer: the network.
        compute_output: taking the batch apart.
        cache_hit: answered from the verdict cache.
        cache_miss: looked for there in vain.
        batches: by rows of one call: time in the network.
    """

    name: str
    version: str
    last_inference_ms: int = 0
    inferences: int = 0
    executions: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    cache_hit: Duration = field(default_factory=Duration)
    cache_miss: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))

    def plus(self, others: Iterable[Statistics]) -> Statistics:
        """Of several variants together, as one that nobody counts on."""
        total = Statistics(self.name, self.version)
        for one in (self, *others):
            total.last_inference_ms = max(total.last_inference_ms, one.last_inference_ms)
            total.inferences += one.inferences
            total.executions += one.executions
            for name in DURATIONS:
                getattr(total, name).join(getattr(one, name))
            for rows, duration in one.batches.items():
                total.batches[rows].join(duration)
        return total
