"""From ledgers to the published numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.standing import Standing, standing_of
from secondlook.cli.price.ways import WayLog
from secondlook.shared.measure import (
    ALL_CLASSES,
    Blocks,
    Counts,
    Metric,
    Passed,
    Spread,
    most_within,
    spread,
)
from secondlook.shared.values import Detections

KB = 1000.0
"""Bytes in a kilobyte, as networks count."""

WINDOW_S = 60.0
"""A budget of bytes holds over any stretch of this length."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How good a system's answers are at one point in time, and how long they took.

    Attributes:
        agreement: against the reference, on the classes of interest.
        agreement_all: against the reference, all classes raw.
        truth: against the truth, on the classes of interest; ``None`` without truth.
        latency_s: from capture to the answer.
    """

    agreement: Counts
    agreement_all: Counts
    truth: Counts | None
    latency_s: Spread

    def as_json(self) -> dict[str, Any]:
        """As in the JSON of `secondlook price`; more keys may come, none goes."""
        data: dict[str, Any] = {
            **_quality(self.agreement),
            "f1_all_classes": _rounded(self.agreement_all.f1),
            "p50_ms": _milliseconds(self.latency_s.p50),
            "p95_ms": _milliseconds(self.latency_s.p95),
        }
        if self.truth is not None:
            data["truth"] = _quality(self.truth)
        return data


@dataclass(frozen=True, slots=True)
class Outcome:
    """One system in numbers.

    Attributes:
        name: of the system, as in the JSON.
        first: what it said at once.
        final: what stood when all verdicts were in.
        frames: how many it answered.
        uplink_kb_per_frame: TCP payload to the cloud; connection set-up apart; KB = 1000 bytes.
        downlink_kb_per_frame: the same, back.
        uplink_kb_per_s: the same to the cloud, by media time; ``None`` of a single frame.
        setup_kb: connection set-up in both directions, once.
        escalations_per_frame: questions to the cloud.
        cloud_inferences_per_frame: pictures the heavy model looked at.
        failures: questions without a verdict.
        agreement: how sure the final F1 against the reference is.
        truth: the same against the truth; ``None`` without truth.
        frames_per_s: analysed frames a second of the clip; ``None`` of a single frame.
        unpaid: questions that the budget did not allow.
        most_kb_in_60_s: most that went up within any 60 s of the clip; ``None`` where it is not
            known frame by frame.
        title: what people call the system; empty for the usual title of its name.
        ways: what the self-test of the site did; ``None`` where it took no part.
    """

    name: str
    first: Stage
    final: Stage
    frames: int
    uplink_kb_per_frame: float
    downlink_kb_per_frame: float
    uplink_kb_per_s: float | None
    setup_kb: float
    escalations_per_frame: float
    cloud_inferences_per_frame: float
    failures: int
    agreement: Standing
    truth: Standing | None = None
    frames_per_s: float | None = None
    unpaid: int = 0
    most_kb_in_60_s: float | None = None
    title: str = ""
    ways: WayLog | None = None

    @property
    def standing(self) -> Standing:
        """Against the truth where that is known, else against the reference."""
        return self.agreement if self.truth is None else self.truth

    @property
    def cloud_inferences_per_s(self) -> float | None:
        """Pictures the heavy model looked at, a second of the clip."""
        if self.frames_per_s is None:
            return None
        return self.cloud_inferences_per_frame * self.frames_per_s

    def as_json(self) -> dict[str, Any]:
        """As in the JSON of `secondlook price`."""
        data: dict[str, Any] = {
            "name": self.name,
            "uplink_kb_per_frame": _rounded(self.uplink_kb_per_frame),
            "downlink_kb_per_frame": _rounded(self.downlink_kb_per_frame),
            "escalations_per_frame": _rounded(self.escalations_per_frame),
            "cloud_inferences_per_frame": _rounded(self.cloud_inferences_per_frame),
            "uplink_kb_per_s": _maybe(self.uplink_kb_per_s),
            "setup_kb": _rounded(self.setup_kb),
            "failures": self.failures,
            "unpaid": self.unpaid,
            "most_kb_in_60_s": _maybe(self.most_kb_in_60_s),
            "frames_per_s": _maybe(self.frames_per_s),
            "cloud_inferences_per_s": _maybe(self.cloud_inferences_per_s),
            **self.agreement.as_json(),
            "first": self.first.as_json(),
            "final": self.final.as_json(),
        }
        if self.truth is not None:
            data["truth"] = self.truth.as_json()
        if self.ways is not None:
            data["selftest"] = self.ways.as_json()
        return data


@dataclass(frozen=True, slots=True, eq=False)
class EdgeCounts:
    """The edge's own final answers, frame by frame: what gains are measured from.

    Attributes:
        agreement: against the reference.
        truth: against the truth; ``None`` without truth.
    """

    agreement: list[Counts]
    truth: list[Counts] | None

    @classmethod
    def of(cls, ledger: Ledger, standard: Standard, metric: Metric) -> EdgeCounts:
        """Of the edge's ledger."""
        return cls(*_counts(ledger, standard, metric))


def outcome_of(
    ledger: Ledger,
    standard: Standard,
    metric: Metric,
    *,
    blocks: Blocks | None = None,
    edge: EdgeCounts | None = None,
    title: str = "",
) -> Outcome:
    """A system's numbers over a clip.

    Args:
        ledger: what it said and sent.
        standard: what that is held against.
        metric: on the classes of interest.
        blocks: for intervals; without, there are none.
        edge: the edge's own answers; without, there are no gains.
        title: what people call the system.
    """
    frames = len(standard)
    traffic = ledger.traffic
    answers = ledger.answers
    counts, true = _counts(ledger, standard, metric)
    return Outcome(
        name=ledger.name,
        first=_stage([a.first for a in answers], [a.first_s for a in answers], standard, metric),
        final=_stage([a.final for a in answers], [a.final_s for a in answers], standard, metric),
        frames=frames,
        uplink_kb_per_frame=traffic.up / KB / frames,
        downlink_kb_per_frame=traffic.down / KB / frames,
        uplink_kb_per_s=traffic.up / KB / standard.duration_s if standard.duration_s else None,
        setup_kb=(traffic.setup_up + traffic.setup_down) / KB,
        escalations_per_frame=ledger.escalations / frames,
        cloud_inferences_per_frame=ledger.inferences / frames,
        failures=ledger.failures,
        agreement=standing_of(counts, blocks, None if edge is None else edge.agreement),
        truth=None
        if true is None
        else standing_of(true, blocks, None if edge is None else edge.truth),
        frames_per_s=frames / standard.duration_s if standard.duration_s else None,
        unpaid=ledger.unpaid,
        most_kb_in_60_s=_most(ledger, standard),
        title=title,
        ways=ledger.ways,
    )


def _counts(
    ledger: Ledger, standard: Standard, metric: Metric
) -> tuple[list[Counts], list[Counts] | None]:
    """Of the final answers: against the reference, and against the truth where it is known."""
    said = [answer.final for answer in ledger.answers]
    true = against_truth(said, standard, metric) if standard.has_truth else None
    return agreement(said, standard.references, metric), true


def _most(ledger: Ledger, standard: Standard) -> float | None:
    """Most KB within any 60 s of stream time."""
    if len(ledger.up_bytes) != len(standard):
        return None
    passed = [Passed(t, n) for t, n in zip(standard.media_s, ledger.up_bytes, strict=True)]
    return most_within(passed, WINDOW_S) / KB


def agreement(
    answers: Iterable[Detections], references: Iterable[Detections], metric: Metric
) -> list[Counts]:
    """Against the reference, frame by frame."""
    return [metric.compare(said, ref) for said, ref in zip(answers, references, strict=True)]


def against_truth(
    answers: Iterable[Detections], standard: Standard, metric: Metric
) -> list[Counts]:
    """Against the truth, frame by frame."""
    return [
        metric.compare_with_truth(said, truth, ignore)
        for said, truth, ignore in zip(answers, standard.truths, standard.ignores, strict=True)
    ]


def total(counts: Iterable[Counts]) -> Counts:
    """The micro-average over frames."""
    return sum(counts, Counts())


def _stage(
    answers: Sequence[Detections], latencies_s: Sequence[float], standard: Standard, metric: Metric
) -> Stage:
    return Stage(
        total(agreement(answers, standard.references, metric)),
        total(agreement(answers, standard.references, ALL_CLASSES)),
        total(against_truth(answers, standard, metric)) if standard.has_truth else None,
        spread(latencies_s),
    )


def _quality(counts: Counts) -> dict[str, float]:
    return {
        "f1": _rounded(counts.f1),
        "recall": _rounded(counts.recall),
        "precision": _rounded(counts.precision),
    }


def _rounded(value: float) -> float:
    return round(value, 4)


def _maybe(value: float | None) -> float | None:
    return None if value is None else _rounded(value)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
