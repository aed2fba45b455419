"""One certificate for the cameras of a site: their audits, added up.

Cameras that are audited with one probability are one sample of all their frames, however different
they are. What is certified is the share of lost frames among the frames of all of them; a single
camera may be worse, which is what its monitor is for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds.trust import MAX_CAMERAS, TrustWindow
from secondlook.shared.trust.certificate import Certificate, certify, walk
from secondlook.shared.trust.counts import AuditCounts
from secondlook.shared.trust.records import basis_of, counts_of
from secondlook.shared.trust.status import TrustState

SITE_CAMERA = "_site"
"""In an id the place of the camera, where a record is about all of them."""
MAX_GROUPS = 8
"""Most promises, gates and models of a site that are certified side by side."""
_ALIKE = ("audit_rate", "gate", "model", "model_version", "alpha", "delta", "thresholds")
"""In what the windows of a pool are alike; their values, in this order, give its record's name."""


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Windows of several cameras together.

    Attributes:
        certificate: what they prove.
        counts: their counts, added up.
        audit_rate: the probability that all of them were audited with.
    """

    certificate: Certificate
    counts: AuditCounts
    audit_rate: float


def why_not_pooled(window: TrustWindow) -> str:
    """Why a window must stay out of a pool; empty where it may be in."""
    if window.cameras:
        return "it is a pool itself"
    if window.ended_s is None:
        return "it is open"
    if window.spoilt or window.lost:
        return window.spoilt or f"{window.lost} audits were lost"
    if window.audit_rate is None:
        return "its frames had several audit probabilities"
    return ""


def pool(windows: Mapping[str, Sequence[TrustWindow]]) -> Pooled:
    """One certificate from windows of one site. A pure function.

    Args:
        windows: by id of the camera, windows of equal audit rate, gate, model, promise and
            thresholds.

    Raises:
        InvalidInput: there are none, one may not be pooled, or two of them do not fit; says which.
    """
    flat = [(camera, window) for camera, some in sorted(windows.items()) for window in some]
    if not flat:
        raise InvalidInput("no windows to pool")
    cameras = tuple(dict.fromkeys(camera for camera, _ in flat))
    if len(cameras) > MAX_CAMERAS:
        raise InvalidInput(f"{len(cameras)} cameras in one pool; at most {MAX_CAMERAS}")
    first = flat[0][1]
    counts = AuditCounts(first.thresholds)
    for camera, window in flat:
        problem = why_not_pooled(window)
        if problem:
            raise InvalidInput(f"a window of {camera} cannot be pooled: {problem}")
        if _group(window) != _group(first):
            raise InvalidInput(
                f"a window of {camera} does not fit the first one: {_difference(first, window)}"
            )
        more = counts_of(window)
        for probability, (audits, misses) in more.by_probability.items():
            frames = more.known if probability == 1 else more.accepted
            counts.saw(probability, frames)
            counts.add(probability, audits, misses)
    ends = [window.ended_s for _, window in flat if window.ended_s is not None]
    certificate = certify(
        counts,
        alpha=first.alpha,
        delta=first.delta,
        basis=basis_of(first),
        cameras=cameras,
        started_s=min(window.started_s for _, window in flat),
        ended_s=max(ends),
    )
    assert first.audit_rate is not None
    return Pooled(certificate, counts, first.audit_rate)


def groups(
    windows: Mapping[str, Sequence[TrustWindow]], period_s: float
) -> list[dict[str, list[TrustWindow]]]:
    """The windows of a site that belong together: one group for each promise, gate and model.

    Args:
        windows: by id of the camera, any.
        period_s: how far apart the ends of the windows of a group may be.

    Returns:
        Groups, by id of the camera, the newest group first; each of at most `MAX_CAMERAS`, and at
        most `MAX_GROUPS` of them.
    """
    found: dict[tuple[object, ...], list[tuple[str, TrustWindow]]] = defaultdict(list)
    for camera, some in sorted(windows.items()):
        for window in some:
            if not why_not_pooled(window):
                found[_group(window)].append((camera, window))
    newest_first = sorted(found.values(), key=_newest_end, reverse=True)
    chosen = []
    for members in newest_first[:MAX_GROUPS]:
        oldest_s = _newest_end(members) - period_s
        group: dict[str, list[TrustWindow]] = {}
        for camera, window in members:
            room = camera in group or len(group) < MAX_CAMERAS
            if room and (window.ended_s or 0.0) > oldest_s:
                group.setdefault(camera, []).append(window)
        chosen.append(group)
    return chosen


def group_name(windows: Mapping[str, Sequence[TrustWindow]]) -> str:
    """A short name of a group's promise, gate and model."""
    first = next(window for some in windows.values() for window in some)
    return hashlib.blake2b(repr(_group(first)).encode(), digest_size=4).hexdigest()


def as_site_record(pooled: Pooled, at_s: float) -> TrustWindow:
    """What to write down about a site."""
    certificate, counts = pooled.certificate, pooled.counts
    proved = not certificate.sends_all
    if proved:
        why = f"at most {certificate.bound:.3%} of the frames of all cameras miss an object"
    else:
        found = walk(counts, certificate.alpha, certificate.delta)
        why = f"the bound is {found.bounds[1]:.3%} even at threshold {counts.thresholds[1]:g}"
    audits = f"{counts.audits} audits of {len(certificate.cameras)} cameras"
    return TrustWindow(
        started_s=certificate.started_s,
        at_s=max(at_s, certificate.ended_s),
        ended_s=certificate.ended_s,
        alpha=certificate.alpha,
        delta=certificate.delta,
        audit_rate=pooled.audit_rate,
        gate=certificate.basis.gate,
        model=certificate.basis.model,
        model_version=certificate.basis.model_version,
        thresholds=tuple(float(t) for t in counts.thresholds),
        frames=counts.frames,
        known=counts.known,
        audits=counts.audits,
        misses=tuple(int(k) for k in counts.misses),
        known_misses=tuple(int(k) for k in counts.known_misses),
        certified_tau=certificate.tau,
        bound=min(1.0, certificate.bound),
        state=(TrustState.CERTIFIED if proved else TrustState.UNCERTIFIED).value,
        reasons=(why, audits),
        tau=certificate.tau,
        cameras=certificate.cameras,
    )


def _newest_end(members: Sequence[tuple[str, TrustWindow]]) -> float:
    return max(window.ended_s or 0.0 for _, window in members)


def _group(window: TrustWindow) -> tuple[object, ...]:
    """Windows of equal group are one sample."""
    return tuple(getattr(window, name) for name in _ALIKE)


def _difference(one: TrustWindow, other: TrustWindow) -> str:
    name = next(n for n in _ALIKE if getattr(one, n) != getattr(other, n))
    return f"{name} is {getattr(other, name)}, not {getattr(one, name)}"
