"""Windows and certificates as records of the context memory, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from itertools import takewhile

import numpy as np

from secondlook.shared.memory.kinds.trust import MAX_REASONS, TrustWindow
from secondlook.shared.trust.certificate import Basis, Certificate
from secondlook.shared.trust.counts import AuditCounts
from secondlook.shared.trust.settings import TrustSettings
from secondlook.shared.trust.status import TrustState, TrustStatus
from secondlook.shared.trust.window import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_TEXT = 500


def window_key(started_s: float, number: int = 1) -> str:
    """Key of a window's record: when it began, UTC, and its number; later ones sort later."""
    at = _EPOCH + timedelta(milliseconds=round(started_s * 1000))
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z-{number}"


def as_record(
    window: Window,
    settings: TrustSettings,
    status: TrustStatus,
    at_s: float,
    certificate: Certificate | None = None,
) -> TrustWindow:
    """A window as it stands.

    Args:
        window: open, or judged.
        settings: of trust.
        status: of the camera.
        at_s: wall clock now, seconds since the Unix epoch.
        certificate: what it proved, where it was judged.
    """
    counts = window.counts
    return TrustWindow(
        started_s=window.started_s,
        at_s=max(at_s, window.started_s),
        ended_s=window.ended_s,
        alpha=settings.alpha,
        delta=settings.delta,
        audit_rate=counts.probability,
        gate=window.basis.gate,
        model=window.basis.model,
        model_version=window.basis.model_version,
        thresholds=settings.thresholds,
        frames=counts.frames,
        known=counts.known,
        audits=counts.audits,
        misses=tuple(int(k) for k in counts.misses),
        known_misses=tuple(int(k) for k in counts.known_misses),
        lost=window.lost,
        awaited=window.outstanding,
        spoilt=window.spoilt[:_MAX_TEXT],
        certified_tau=None if certificate is None else certificate.tau,
        bound=None if certificate is None else min(1.0, certificate.bound),
        state=status.state.value,
        reasons=tuple(reason[:_MAX_TEXT] for reason in status.reasons[:MAX_REASONS]),
        tau=status.tau,
        alarms=status.alarms,
    )


def basis_of(record: TrustWindow) -> Basis:
    """Gate and model of a record."""
    return Basis(record.gate, record.model, record.model_version)


def counts_of(record: TrustWindow) -> AuditCounts:
    """The counts of a record whose frames had one audit probability.

    Raises:
        InvalidInput: they had several, or the counts contradict each other.
    """
    counts = AuditCounts(record.thresholds)
    counts.saw(1.0, record.known)
    counts.add(1.0, record.known, np.asarray(record.known_misses, np.int64))
    if record.frames > record.known:
        rate = -1.0 if record.audit_rate is None else record.audit_rate
        counts.saw(rate, record.frames - record.known)
        counts.add(rate, record.audits, np.asarray(record.misses, np.int64))
    return counts


def newest_certificate(
    records: Iterable[TrustWindow], camera: str, at_s: float
) -> Certificate | None:
    """The certificate that stood when the newest of the records was written; ``None`` without.

    Args:
        records: windows of a camera, or of a site.
        camera: id of the camera, where records name none.
        at_s: wall clock now; records of the future are passed over.
    """
    known = sorted((r for r in records if r.at_s <= at_s), key=lambda r: (r.at_s, r.started_s))
    # What was certified before an alarm, an outage or a change does not come back.
    standing = takewhile(lambda r: r.state == TrustState.CERTIFIED.value, reversed(known))
    found = (certificate_of(record, camera) for record in standing)
    return next((certificate for certificate in found if certificate is not None), None)


def certificate_of(record: TrustWindow, camera: str) -> Certificate | None:
    """What a record certifies; ``None`` where it certifies nothing but sending everything.

    Args:
        record: of a camera, or of a site.
        camera: id of the camera, where the record names none.
    """
    tau, bound = record.certified_tau, record.bound
    if not tau or bound is None or record.ended_s is None or record.spoilt or record.lost:
        return None
    at = max(i for i, value in enumerate(record.thresholds) if value <= tau)
    return Certificate(
        alpha=record.alpha,
        delta=record.delta,
        tau=tau,
        bound=bound,
        started_s=record.started_s,
        ended_s=record.ended_s,
        frames=record.frames,
        audits=record.audits,
        misses=record.misses[at],
        known_misses=record.known_misses[at],
        basis=basis_of(record),
        cameras=record.cameras or (camera,),
        method="clopper-pearson" if record.audit_rate is not None else "betting",
    )
