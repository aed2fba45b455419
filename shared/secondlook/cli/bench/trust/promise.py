"""Is the promise kept? Certificates against the whole truth of each stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.cli.bench.trust.scenes import Floats, Rng
from secondlook.cli.bench.trust.streams import Setting, Stream
from secondlook.shared.trust import AuditCounts, TrustSettings, walk

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Promise:
    """What became of the promise in the streams of one setting.

    Attributes:
        name: of the setting.
        text: what it is.
        streams: how many.
        audits: mean number of audits.
        certified: share of streams in which a threshold above 0 was certified.
        violations: share of streams in which more than α of the frames are lost at the certified
            threshold. The promise: at most δ.
        naive_violations: the same, where the threshold is the highest whose plain estimate is at
            most α.
        oracle_escalation: mean share of frames that escalate at the highest threshold that really
            keeps the promise; NaN where it is not known.
        escalation: at the certified threshold.
        naive_escalation: at the naive one.
    """

    name: str
    text: str
    streams: int
    audits: float
    certified: float
    violations: float
    naive_violations: float
    oracle_escalation: float
    escalation: float
    naive_escalation: float

    @property
    def excess(self) -> float:
        """Share of frames that escalate beyond what the oracle needs."""
        return self.escalation - self.oracle_escalation


def keep_promise(
    setting: Setting,
    settings: TrustSettings,
    streams: int,
    seed: tuple[int, ...],
    done: Callable[[], None],
) -> Promise:
    """Replay ``streams`` streams of a setting: coin, audits, certificate, and the truth."""
    rows = np.empty((streams, 7))
    frames = int(settings.window_frames * setting.share)
    for number in range(streams):
        rng = np.random.default_rng((*seed, number))
        stream = setting.make(rng, frames, settings.audit_rate, settings.alpha)
        rows[number] = _replay(stream, settings, rng)
        done()
    mean = rows.mean(axis=0)
    return Promise(setting.name, setting.text, streams, *(float(value) for value in mean))


def _replay(stream: Stream, settings: TrustSettings, rng: Rng) -> tuple[float, ...]:
    counts = audited(stream, settings.thresholds, rng)
    found = walk(counts, settings.alpha, settings.delta)
    truth = lost_share(stream.lowest, counts.thresholds)
    escalation = escalated_share(stream.highest, counts.thresholds)
    naive = _highest(found.estimates <= settings.alpha)
    oracle = _highest(truth <= settings.alpha)
    return (
        counts.audits,
        found.index > 0,
        truth[found.index] > settings.alpha,
        truth[naive] > settings.alpha,
        escalation[oracle],
        escalation[found.index],
        escalation[naive],
    )


def audited(stream: Stream, thresholds: tuple[float, ...], rng: Rng) -> AuditCounts:
    """Throw a coin for every frame, and count what the audits find."""
    counts = AuditCounts(thresholds)
    chosen = rng.random(len(stream.lowest)) < stream.probability
    for probability in np.unique(stream.probability):
        group = stream.probability == probability
        counts.saw(float(probability), int(group.sum()))
        looks = stream.lowest[group & chosen]
        counts.add(float(probability), len(looks), lost_counts(looks, counts.thresholds))
    return counts


def lost_counts(lowest: Floats, thresholds: Floats) -> Counts:
    """Frames that are lost at each threshold: int64 (G,)."""
    missed = np.sort(lowest[np.isfinite(lowest)])
    return np.searchsorted(missed, thresholds, side="left").astype(np.int64)


def lost_share(lowest: Floats, thresholds: Floats) -> Floats:
    """Share of frames that are lost at each threshold: float64 (G,)."""
    return lost_counts(lowest, thresholds) / len(lowest)


def escalated_share(highest: Floats, thresholds: Floats) -> Floats:
    """Share of frames that escalate at each threshold: float64 (G,); all of them at 0."""
    if np.isnan(highest).any():
        return np.full(len(thresholds), np.nan)
    risks = np.sort(highest[highest >= 0])
    share = (len(risks) - np.searchsorted(risks, thresholds, side="left")) / len(highest)
    share[0] = 1.0
    return np.asarray(share, np.float64)


def _highest(passed: npt.NDArray[np.bool_]) -> int:
    """Place of the last threshold before the first that fails; 0 where the second fails."""
    failed = np.flatnonzero(~passed[1:])
    return int(failed[0]) if len(failed) else len(passed) - 1
