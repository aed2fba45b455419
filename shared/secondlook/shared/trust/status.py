"""What people see of trust: a state, why, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from secondlook.shared.trust.certificate import Certificate


class TrustState(str, Enum):
    """How a camera stands.

    ``LEARNING``: no window is complete yet. ``CERTIFIED``: a certificate stands. ``UNCERTIFIED``:
    the last window proved nothing. ``ALARM``: losses are above the promise; fewer answers stand,
    and audits are more frequent. ``RECERTIFYING``: what was certified is void, a new window
    fills. ``SLO_INFEASIBLE``: the budget does not suffice to keep the promise.
    """

    LEARNING = "learning"
    CERTIFIED = "certified"
    UNCERTIFIED = "uncertified"
    ALARM = "alarm"
    RECERTIFYING = "recertifying"
    SLO_INFEASIBLE = "slo-infeasible"


@dataclass(frozen=True, slots=True)
class TrustStatus:
    """How a camera stands now.

    Attributes:
        state: the state.
        reasons: why, in plain words, the most important first.
        tau: threshold in force; candidates of this risk or more are asked about.
        audit_rate: probability with which the next frame is audited.
        certificate: the one that stands; ``None`` without.
        frames: of the window that fills.
        window_frames: frames it needs.
        audits: of it, outcomes that are in.
        misses: of these, missed at ``tau``.
        pending: audits whose outcome is awaited.
        lost: audits of it that got lost.
        alarms: so far.
        e_value: of the monitor; the alarm comes at 1/δ.
    """

    state: TrustState
    reasons: tuple[str, ...]
    tau: float
    audit_rate: float
    certificate: Certificate | None
    frames: int
    window_frames: int
    audits: int
    misses: int
    pending: int
    lost: int
    alarms: int
    e_value: float


@dataclass(frozen=True, slots=True)
class TrustChange:
    """A camera's state has changed.

    Attributes:
        camera: id of the camera.
        at_s: when, seconds since the Unix epoch.
        before: state until then.
        after: state from then on.
        reasons: why, in plain words.
        tau: threshold in force from then on.
        audit_rate: audit probability from then on.
    """

    camera: str
    at_s: float
    before: TrustState
    after: TrustState
    reasons: tuple[str, ...]
    tau: float
    audit_rate: float
