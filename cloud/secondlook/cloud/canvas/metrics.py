"""What the cloud counts of canvases."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class CanvasMetrics:
    """Updates by what became of them, and the state that is held."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "secondlook_cloud_canvas"
        updates = Counter(
            f"{prefix}_updates", "Updates of canvases, by outcome.", ["outcome"], registry=registry
        )
        self._decoded = updates.labels("decoded")
        self._lost = updates.labels("need_keyframe")
        self._invalid = updates.labels("invalid")
        self._held = Gauge(f"{prefix}_held", "Canvases held now.", registry=registry)
        self._evicted = Counter(
            f"{prefix}_evicted", "Canvases forgotten to make room.", registry=registry
        )
        self._replaced = Counter(
            f"{prefix}_processes_replaced",
            "Decoding processes that died or hung.",
            registry=registry,
        )

    def decoded(self) -> None:
        """An update was decoded."""
        self._decoded.inc()

    def lost(self) -> None:
        """An update needs state that is not there."""
        self._lost.inc()

    def invalid(self) -> None:
        """An update was malformed."""
        self._invalid.inc()

    def held(self, canvases: int) -> None:
        """So many canvases are held."""
        self._held.set(canvases)

    def evicted(self) -> None:
        """A canvas had to go."""
        self._evicted.inc()

    def replaced(self) -> None:
        """A decoding process had to go."""
        self._replaced.inc()
