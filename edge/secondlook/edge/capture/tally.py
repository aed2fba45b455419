"""What the captures count: for Prometheus, and for whoever asks a capture."""

from __future__ import annotations

from enum import Enum
from weakref import WeakKeyDictionary

import prometheus_client
from prometheus_client import CollectorRegistry, Counter

from secondlook.edge.capture.captured import CaptureStats
from secondlook.edge.capture.header import Counts


class CaptureState(str, Enum):
    """What a camera's capture is doing."""

    CONNECTING = "connecting"
    """Opening the source; no frame yet."""

    RUNNING = "running"
    """Frames come."""

    STALLED = "stalled"
    """Connected, but no frame came for too long; about to be restarted."""

    BACKING_OFF = "backing_off"
    """Waiting before the next attempt."""

    ENDED = "ended"
    """The recording is over."""

    FAILED = "failed"
    """Given up; the error says why."""


class CaptureMetrics:
    """The metrics of all captures that share a registry; each has the label ``camera``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"secondlook_edge_capture_{name}", text, ["camera"], registry=registry)

        self.frames = counter("frames", "Frames handed to the pipeline.")
        self.dropped = counter("dropped_frames", "Frames lost because a newer one came first.")
        self.skipped = counter("skipped_frames", "Frames passed over by the analysis rate.")
        self.restarts = counter("restarts", "Capture processes started after the first.")
        self.crashes = counter("crashes", "Capture processes that died, or had to be killed.")
        self.copied_bytes = counter("copied_bytes", "Bytes of pixels copied, in both processes.")
        self.state = prometheus_client.Enum(
            "secondlook_edge_capture_state",
            "What the capture is doing.",
            ["camera"],
            states=[state.value for state in CaptureState],
            registry=registry,
        )


_by_registry: WeakKeyDictionary[CollectorRegistry, CaptureMetrics] = WeakKeyDictionary()


def metrics_of(registry: CollectorRegistry) -> CaptureMetrics:
    """The metrics of ``registry``, which takes a name only once; so cameras share them."""
    if registry not in _by_registry:
        _by_registry[registry] = CaptureMetrics(registry)
    return _by_registry[registry]


class Tally:
    """The counts and the state of one camera."""

    def __init__(self, camera: str, registry: CollectorRegistry) -> None:
        metrics = metrics_of(registry)
        self._frames = metrics.frames.labels(camera)
        self._dropped = metrics.dropped.labels(camera)
        self._skipped = metrics.skipped.labels(camera)
        self._restarts = metrics.restarts.labels(camera)
        self._crashes = metrics.crashes.labels(camera)
        self._copied = metrics.copied_bytes.labels(camera)
        self._state = metrics.state.labels(camera)
        self._stats = [0] * 6
        self._process = Counts()
        self.state(CaptureState.CONNECTING)

    @property
    def stats(self) -> CaptureStats:
        """Counts since the start."""
        return CaptureStats(*self._stats)

    def state(self, state: CaptureState) -> None:
        """The state has changed."""
        self._state.state(state.value)

    def handed_out(self) -> None:
        """The pipeline took a frame."""
        self._add(0, self._frames, 1)

    def replaced(self) -> None:
        """A frame gave way to a newer one on the agent's side."""
        self._add(1, self._dropped, 1)

    def restarted(self) -> None:
        """A capture process is started after another; its counts begin at 0."""
        self._add(3, self._restarts, 1)
        self._process = Counts()

    def crashed(self) -> None:
        """A capture process died, or had to be killed."""
        self._add(4, self._crashes, 1)

    def counted(self, counts: Counts, copied_here: int = 0) -> None:
        """The capture process has counted so far; the agent itself copied some bytes."""
        before, self._process = self._process, counts
        self._add(1, self._dropped, counts.dropped - before.dropped)
        self._add(2, self._skipped, counts.skipped - before.skipped)
        self._add(5, self._copied, counts.copied - before.copied + copied_here)

    def _add(self, index: int, counter: Counter, amount: int) -> None:
        if amount > 0:
            self._stats[index] += amount
            counter.inc(amount)
