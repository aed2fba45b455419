"""Tells which way of working a self-test has chosen: metrics, and a line for each change."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from secondlook.edge.selftest import Mode, ModeChange
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)


class WayMeter:
    """Metrics of all cameras."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._way = Gauge(
            "secondlook_edge_way",
            "1 for the way of working that the self-test has chosen, 0 for the others.",
            ["camera", "way"],
            registry=registry,
        )
        self._changes = Counter(
            "secondlook_edge_way_changes",
            "Times that another way of working was chosen.",
            ["camera", "way"],
            registry=registry,
        )

    def shows(self, camera: str, mode: Mode) -> None:
        """The way in force."""
        for each in Mode:
            self._way.labels(camera, each.value).set(each is mode)

    def changed(self, camera: str, changes: list[ModeChange]) -> None:
        """The way has changed."""
        for change in changes:
            self._changes.labels(camera, change.after.value).inc()
            self.shows(camera, change.after)
            _log.info(
                "another way of working",
                camera=camera,
                before=change.before.value,
                after=change.after.value,
                why="; ".join(change.reasons),
            )
