"""Which state a camera is in, which threshold is in force, and how often it is audited.

LEARNING ----------> CERTIFIED <---------- RECERTIFYING <--- gate or model changed
    \\                 |  ^   \\                 ^
     \\    spoilt, or   |  |    \\ too many       | enough audits without a further alarm
      \\  bound above α |  |     \\ losses        |
       +-> UNCERTIFIED<-  +--     +--> ALARM ---+
"""

from __future__ import annotations

from secondlook.shared.trust.betting import Monitor
from secondlook.shared.trust.bounds import audits_needed
from secondlook.shared.trust.certificate import SEND_ALL, Certificate
from secondlook.shared.trust.settings import TrustSettings
from secondlook.shared.trust.status import TrustChange, TrustState
from secondlook.shared.trust.tracker import ThresholdTracker

_REMEMBERED = 16
"""Certified thresholds that an alarm may fall back to."""


class Stance:
    """State of one camera. Pure: it is told what happened, and when.

    The threshold is *held* while a certificate stands, after an alarm, and where the last window
    was spoilt; else it follows the losses of audits, or everything is sent, as the settings say.

    Args:
        camera: id of the camera.
        settings: of trust.
    """

    def __init__(self, camera: str, settings: TrustSettings) -> None:
        self._camera = camera
        self._settings = settings
        self._tracker = ThresholdTracker(settings.start_tau, settings.alpha, settings.gamma)
        self.monitor = Monitor(settings.alpha, settings.delta)
        self.certificate: Certificate | None = None
        self.audit_rate = settings.audit_rate
        self.alarms = 0
        self.blocked_s = 0.0
        """Certificates that rest on earlier frames are not taken over."""
        self._held: float | None = None
        self._safe: list[float] = []
        self._quiet = 0
        self._state = TrustState.LEARNING
        self._reasons: tuple[str, ...] = (_least(settings),)
        self._infeasible = ""
        self._changes: list[TrustChange] = []

    @property
    def state(self) -> TrustState:
        """The state that people see."""
        return TrustState.SLO_INFEASIBLE if self._infeasible else self._state

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why."""
        if self._infeasible:
            return (self._infeasible, f"apart from that {self._state.value}", *self._reasons)
        return self._reasons

    @property
    def tau(self) -> float:
        """The threshold in force."""
        if self._held is not None:
            return self._held
        return SEND_ALL if self._settings.without == "send_all" else self._tracker.tau

    @property
    def watched(self) -> bool:
        """Whether the monitor runs: where a threshold is held."""
        return self._held is not None

    def take_changes(self) -> list[TrustChange]:
        """The changes of state since the last call, oldest first."""
        changes, self._changes = self._changes, []
        return changes

    def audited(self, lost: bool, probability: float, at_s: float) -> bool:
        """Take in the loss of one audit under the threshold in force; returns whether it alarms."""
        if self._held is None:
            self._tracker.add(lost, probability)
            return False
        if self.monitor.add(lost):
            self._alarm(at_s)
            return True
        if self._state is TrustState.ALARM:
            self._quiet += 1
            if self._quiet >= self._settings.alarm_audits:
                calm = f"{self._quiet} audits since the alarm without a further one"
                self._set(TrustState.RECERTIFYING, at_s, calm, "a new window fills")
        return False

    def welcomes(self, certificate: Certificate, at_s: float) -> bool:
        """Whether a certificate of the site, of this gate and model, is to be taken over."""
        standing, settings = self.certificate, self._settings
        return (
            not certificate.sends_all
            and self._camera in certificate.cameras
            and certificate.alpha <= settings.alpha
            and certificate.delta <= settings.delta
            and certificate.started_s >= self.blocked_s
            and at_s - certificate.ended_s <= settings.remember_s
            and (
                standing is None
                or (len(standing.cameras) > 1 and certificate.ended_s > standing.ended_s)
            )
        )

    def certified(self, certificate: Certificate, at_s: float) -> None:
        """A window, or those of a site, proved a threshold above 0."""
        self.certificate = certificate
        self._held = certificate.tau
        self._safe = [t for t in self._safe if t != certificate.tau][1 - _REMEMBERED :]
        self._safe.append(certificate.tau)
        self.audit_rate = self._settings.audit_rate
        self._set(TrustState.CERTIFIED, at_s, *_proof(certificate))

    def unproved(self, certificate: Certificate, reason: str, at_s: float) -> None:
        """A window proved nothing but that sending everything is safe."""
        if self._of_site(at_s):
            return
        before = self.tau
        self.certificate = None
        self._held = None
        self._tracker.restart(before)
        self.audit_rate = self._settings.audit_rate
        self.monitor.restart()
        audits = f"{certificate.audits} audits in {certificate.frames} frames"
        self._set(TrustState.UNCERTIFIED, at_s, reason, audits, self._way())

    def spoilt(self, reason: str, at_s: float, before: TrustState | None = None) -> None:
        """A window cannot prove anything; the threshold stays as it is."""
        self.certificate = None
        if self._state is TrustState.ALARM:
            self._reasons = (*[r for r in self._reasons if r != reason][:3], reason)
            self._tell(before or self.state, at_s)
        else:
            self._set(TrustState.UNCERTIFIED, at_s, reason, self._way(), before=before)

    def voided(self, reason: str, at_s: float) -> None:
        """Gate, calibrator or model changed: nothing that was learned about thresholds holds."""
        learned = self._state is not TrustState.LEARNING
        self.certificate = None
        self._held = None
        self._safe.clear()
        self._tracker.restart(self._settings.start_tau)
        self.monitor.restart()
        self.audit_rate = self._settings.audit_rate
        self.blocked_s = at_s
        state = TrustState.RECERTIFYING if learned else TrustState.LEARNING
        self._set(state, at_s, reason, "the certificate is void" if learned else "", self._way())

    def infeasible(self, numbers: str, at_s: float) -> None:
        """The budget does not suffice: whatever was certified, regions stay unasked."""
        before = self.state
        self._infeasible = numbers
        self._tell(before, at_s)

    def feasible(self, reason: str, at_s: float) -> None:
        """The budget suffices again; what was left unasked meanwhile was not certified."""
        before = self.state
        self._infeasible = ""
        self.blocked_s = at_s
        self.spoilt(reason, at_s, before)

    def _alarm(self, at_s: float) -> None:
        monitor, tau = self.monitor, self.tau
        seen = (
            f"{monitor.misses} of {monitor.audits} audits missed an object; "
            f"{self._settings.alpha:.2%} was promised (e-value {monitor.e_value:.0f})"
        )
        self._safe = [t for t in self._safe if t < tau]
        self._held = self._safe[-1] if self._safe else SEND_ALL
        self.certificate = None
        self.alarms += 1
        self.blocked_s = at_s
        self._quiet = 0
        self.audit_rate = min(1.0, self._settings.audit_rate * self._settings.alarm_factor)
        monitor.restart()
        fallen = f"threshold {tau:g} -> {self._held:g}"
        back = "all is sent" if self._held <= SEND_ALL else "the threshold certified before"
        more = f"audits {self._settings.audit_rate:.2%} -> {self.audit_rate:.2%} of frames"
        self._set(TrustState.ALARM, at_s, seen, f"{fallen}: {back}", more)

    def _of_site(self, at_s: float) -> bool:
        """Whether a certificate of the site stands, which needs no proof by one camera."""
        found = self.certificate
        fresh = found is not None and at_s - found.ended_s <= self._settings.remember_s
        return found is not None and len(found.cameras) > 1 and fresh

    def _way(self) -> str:
        if self._held is not None:
            return f"threshold {self._held:g} is kept, and not promised"
        if self._settings.without == "send_all":
            return "everything is sent until there is a certificate"
        return "the threshold follows the losses of audits, and nothing is promised"

    def _set(
        self, state: TrustState, at_s: float, *reasons: str, before: TrustState | None = None
    ) -> None:
        before = before or self.state
        self._state = state
        self._reasons = tuple(reason for reason in reasons if reason)
        self._tell(before, at_s)

    def _tell(self, before: TrustState, at_s: float) -> None:
        if self.state is before:
            return
        change = TrustChange(
            self._camera, at_s, before, self.state, self.reasons, self.tau, self.audit_rate
        )
        # A caller that never takes them must not fill the memory.
        self._changes = [*self._changes[-99:], change]


def _proof(certificate: Certificate) -> tuple[str, ...]:
    known = certificate.known_misses
    looked = f" and {known} in frames looked at anyway" if known else ""
    whose = f", {len(certificate.cameras)} cameras" if len(certificate.cameras) > 1 else ""
    promise = f"promise {certificate.alpha:.2%}, wrong with probability {certificate.delta:g}"
    bound = f"at most {certificate.bound:.3%} of frames miss an object"
    rests = f"{certificate.misses} misses in {certificate.audits} audits{looked}"
    return (
        f"at threshold {certificate.tau:g} {bound} ({promise})",
        f"{rests} of {certificate.frames} frames{whose}",
    )


def _least(settings: TrustSettings) -> str:
    needed = audits_needed(settings.alpha, settings.delta)
    return f"the first window fills; a certificate takes {needed} audits without a miss, or more"
