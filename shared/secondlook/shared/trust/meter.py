"""Trust as metrics and as events in the log."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust.status import TrustChange, TrustState, TrustStatus

_log = get_logger(__name__)

_GRAVE = frozenset({TrustState.ALARM, TrustState.SLO_INFEASIBLE})
_UNPROVED = frozenset({TrustState.UNCERTIFIED, TrustState.RECERTIFYING})


class TrustMeter:
    """Metrics of all cameras, label ``camera``; each change of state is one event in the log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "secondlook_edge_trust"

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{prefix}_{name}", text, ["camera", *labels], registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{prefix}_{name}", text, ["camera", *labels], registry=registry)

        self._state = gauge("state", "1 for the state the camera is in, 0 for others.", "state")
        self._tau = gauge("threshold", "Risk from which on candidates are asked about.")
        self._rate = gauge("audit_rate", "Probability with which a frame is audited.")
        self._bound = gauge("bound", "Certified bound of the share of lost frames; NaN without.")
        self._e_value = gauge("e_value", "E-value of the monitor; the alarm comes at 1/delta.")
        self._pending = gauge("pending_audits", "Audits that wait for their verdict.")
        self._outcomes = counter("audits", "Audits whose outcome is in.", "outcome")
        self._lost = counter("lost_audits", "Audits without a verdict.")
        self._unasked = counter(
            "unasked_frames",
            "Frames with a candidate above the threshold that was not asked about.",
        )
        self._alarms = counter("alarms", "Alarms: losses were above the promise.")
        self._changes = counter("changes", "Changes of state.", "state")

    def audited(self, camera: str, *, missed: bool) -> None:
        """The outcome of an audit is in."""
        self._outcomes.labels(camera, "missed" if missed else "right").inc()

    def lost(self, camera: str, audits: int = 1) -> None:
        """Audits got no verdict."""
        self._lost.labels(camera).inc(audits)

    def unasked(self, camera: str, frames: int = 1) -> None:
        """Frames were answered without asking about all that the threshold would."""
        self._unasked.labels(camera).inc(frames)

    def shows(self, camera: str, status: TrustStatus) -> None:
        """How a camera stands; cheap enough for once a second."""
        for state in TrustState:
            self._state.labels(camera, state.value).set(state is status.state)
        self._tau.labels(camera).set(status.tau)
        self._rate.labels(camera).set(status.audit_rate)
        certificate = status.certificate
        self._bound.labels(camera).set(float("nan") if certificate is None else certificate.bound)
        self._e_value.labels(camera).set(status.e_value)
        self._pending.labels(camera).set(status.pending)

    def changed(self, change: TrustChange) -> None:
        """A camera's state has changed: counted and logged."""
        self._changes.labels(change.camera, change.after.value).inc()
        if change.after is TrustState.ALARM:
            self._alarms.labels(change.camera).inc()
        fields = {
            "camera": change.camera,
            "before": change.before.value,
            "after": change.after.value,
            "reasons": list(change.reasons),
            "threshold": round(change.tau, 4),
            "audit_rate": change.audit_rate,
        }
        if change.after in _GRAVE:
            _log.error("trust has changed", **fields)
        elif change.after in _UNPROVED:
            _log.warning("trust has changed", **fields)
        else:
            _log.info("trust has changed", **fields)
