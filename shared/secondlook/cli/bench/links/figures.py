"""The figures of a run: of its parts in time, and of each camera."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.cli.bench.links.plan import Camera
from secondlook.cli.bench.links.truth import Quality
from secondlook.shared.measure import Spread


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run: before, during or after the outage, or all of it.

    Attributes:
        name: which.
        from_s, to_s: seconds since all cameras had answered a frame.
        fps: answered frames a second of each camera on average.
        up_kb_per_s: what went up.
        revisions: answers that verdicts changed in this time.
        cpu_ms: processor time of the edge for each answered frame, decoding or drawing included.
        cores: processors that both tiers had together.
    """

    name: str
    from_s: float
    to_s: float
    fps: float
    up_kb_per_s: float
    revisions: int
    cpu_ms: float
    cores: float


@dataclass(frozen=True, slots=True)
class CameraOutcome:
    """One camera in numbers.

    Attributes:
        camera: which.
        captured, dropped: frames handed to the pipeline, and lost before for want of time.
        answered: frames answered; of those captured at the last look, all but ``in_hand``.
        in_hand: frames captured and not answered at that moment: one, at most.
        fps: answered frames a second, from the first to the last.
        latency_s: from capture to the answer.
        asked, audits: questions sent, and how many of these were audits.
        verdicts, late_verdicts: answers of the cloud; of those, on questions that had waited.
        revisions: answers that a verdict changed.
        unpaid, offline, lost, spooled: questions not asked for want of budget, or of a cloud;
            without an answer; kept on disk.
        dear: share of the frames on which the budget kept something from being asked.
        audits_decided: frames that the coin chose.
        lost_audits: of those, without an outcome.
        spent_kb_per_s, granted_kb_per_s: of the budget, on average.
        why: why it was granted so much, most of the time.
        price: what a second of the budget had to bring at the end.
        slo: what the budget lacks for the promise; empty where nothing.
        trust: state at the end.
        spoilt: why windows of trust certify nothing; empty where none is spoilt.
        quality: against the truth; ``None`` where that is not known.
    """

    camera: Camera
    captured: int
    dropped: int
    answered: int
    in_hand: int
    fps: float
    latency_s: Spread
    asked: int
    audits: int
    verdicts: int
    late_verdicts: int
    revisions: int
    unpaid: int
    offline: int
    lost: int
    spooled: int
    dear: float
    audits_decided: int
    lost_audits: int
    spent_kb_per_s: float
    granted_kb_per_s: float
    why: str
    price: float
    slo: str
    trust: str
    spoilt: tuple[str, ...]
    quality: Quality | None
