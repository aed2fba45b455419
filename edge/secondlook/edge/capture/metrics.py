"""What capture counts, for Prometheus."""

from __future__ import annotations

from enum import Enum
from weakref import WeakKeyDictionary

import prometheus_client
from prometheus_client import CollectorRegistry, Counter


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
        self.crashes = counter("crashes", "Capture processes that died without a word.")
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
