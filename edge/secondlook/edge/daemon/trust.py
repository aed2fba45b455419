"""Tells what happens to a camera's trust: metrics, one event for each change, the status line."""

from __future__ import annotations

from dataclasses import replace

from secondlook.edge.auditing import TrustNews
from secondlook.edge.daemon.status import CameraStatus
from secondlook.edge.daemon.surroundings import Surroundings
from secondlook.shared.trust import TrustState, TrustStatus

_SHOW_EVERY_S = 1.0
_SHORT = frozenset({TrustState.ALARM, TrustState.SLO_INFEASIBLE})
"""States whose reason is a problem that people should see."""


class TrustDesk:
    """Of one camera.

    Args:
        camera: its id.
        around: what it shares with other cameras.
        status: what people see of it.
    """

    def __init__(self, camera: str, around: Surroundings, status: CameraStatus) -> None:
        self._camera = camera
        self._around = around
        self._status = status
        self._shown_s: float | None = None
        self._demanded = False

    def tell(self, news: TrustNews) -> None:
        """Pass on what has happened."""
        meter = self._around.trust
        if meter is not None:
            for missed in news.outcomes:
                meter.audited(self._camera, missed=missed)
            meter.lost(self._camera, news.lost)
            meter.unasked(self._camera, news.unasked)
            for change in news.changes:
                meter.changed(replace(change, camera=self._camera))
        if news.status is None:
            return
        self._status.trust = _in_short(news.status)
        alarming = news.status.state in _SHORT
        self._status.problem_of_trust = news.status.reasons[0] if alarming else ""
        now_s = self._around.clock.monotonic()
        if self._shown_s is None or news.changes or now_s >= self._shown_s + _SHOW_EVERY_S:
            self._shown_s = now_s
            if meter is not None:
                meter.shows(self._camera, news.status)
            self._demand(*news.demand)

    def _demand(self, bytes_per_s: float, questions_per_s: float) -> None:
        """Let the budget know what the promise needs, where it is enforced."""
        if questions_per_s > 0 or self._demanded:
            self._demanded = questions_per_s > 0
            self._around.controller.demand(self._camera, bytes_per_s, questions_per_s)


def _in_short(status: TrustStatus) -> str:
    """A few words for a table."""
    certificate = status.certificate
    if certificate is not None and status.state is TrustState.CERTIFIED:
        return f"{status.state.value}: {certificate.bound:.2%} at {certificate.tau:g}"
    return f"{status.state.value}, {status.audits} audits"
