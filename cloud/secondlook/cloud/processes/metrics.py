"""What the supervisor itself counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class ProcessMetrics:
    """Which processes serve, and how often each was started again.

    Args:
        registry: where to count.
        processes: how many there are.
    """

    def __init__(self, registry: CollectorRegistry, processes: int) -> None:
        ready = Gauge(
            "secondlook_cloud_process_ready",
            "1 while a process of server.processes answers calls.",
            ["process"],
            registry=registry,
        )
        restarts = Counter(
            "secondlook_cloud_process_restarts",
            "How often a process that had ended was started again.",
            ["process"],
            registry=registry,
        )
        numbers = [str(number) for number in range(processes)]
        self._ready = [ready.labels(number) for number in numbers]
        self._restarts = [restarts.labels(number) for number in numbers]

    def serves(self, number: int, *, ready: bool) -> None:
        """A process answers calls, or does so no more."""
        self._ready[number].set(ready)

    def restarted(self, number: int) -> None:
        """A process is started again."""
        self._restarts[number].inc()
