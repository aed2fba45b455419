"""What the curve says: is each of our points worth its bytes, against the best video stream?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secondlook.cli.price.outcome import Outcome
from secondlook.cli.price.specs import Kind, Spec
from secondlook.shared.measure import Needed, needed

STREAM_TITLES = {Kind.H264: "H.264", Kind.H265: "H.265"}


@dataclass(frozen=True, slots=True)
class PointVerdict:
    """One of our points.

    Attributes:
        outcome: its numbers.
        point: where on the curve it lies, in words.
        no_worse: whether its F1 is at least the edge's alone.
        surely_worse: whether even the upper end of the interval of its gain is below 0.
        stream: which video stream needs least for its F1; empty where none reaches it.
        needs: what that stream needs, KB a frame.
    """

    outcome: Outcome
    point: str
    no_worse: bool
    surely_worse: bool
    stream: str
    needs: Needed

    @property
    def share(self) -> float | None:
        """Our bytes as a share of the stream's; ``None`` where no stream reaches the F1."""
        return self.outcome.uplink_kb_per_frame / self.needs.kb if self.needs.kb else None

    @property
    def cheaper(self) -> bool:
        """Whether it needs no more bytes than the best stream."""
        return self.needs.kb is None or self.outcome.uplink_kb_per_frame <= self.needs.kb

    def as_json(self) -> dict[str, Any]:
        """As in the JSON."""
        share = self.share
        return {
            "system": self.outcome.name,
            "point": self.point,
            "uplink_kb_per_frame": round(self.outcome.uplink_kb_per_frame, 4),
            "cloud_inferences_per_frame": round(self.outcome.cloud_inferences_per_frame, 4),
            "f1": round(f1_of(self.outcome), 4),
            "no_worse_than_edge": self.no_worse,
            "surely_worse_than_edge": self.surely_worse,
            "best_stream": self.stream or None,
            "stream_kb_per_frame": None if self.needs.kb is None else round(self.needs.kb, 4),
            "stream_is_at_most": self.needs.at_most,
            "share_of_stream": None if share is None else round(share, 4),
            "no_more_than_stream": self.cheaper,
        }


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The whole curve.

    Attributes:
        points: ours, cheapest first.
        streams: measured points of each stream: KB a frame and F1, cheapest first.
        edge_f1: F1 of the edge alone.
        against: what F1 is held against, ``truth`` or ``reference``.
    """

    points: tuple[PointVerdict, ...]
    streams: Mapping[str, tuple[Outcome, ...]]
    edge_f1: float
    against: str = "reference"

    def as_json(self) -> dict[str, Any]:
        """As in the JSON."""
        return {
            "against": self.against,
            "edge_f1": round(self.edge_f1, 4),
            "points": [point.as_json() for point in self.points],
            "streams": {
                title: [
                    {
                        "system": outcome.name,
                        "uplink_kb_per_frame": round(outcome.uplink_kb_per_frame, 4),
                        "f1": round(f1_of(outcome), 4),
                    }
                    for outcome in outcomes
                ]
                for title, outcomes in self.streams.items()
            },
        }


def f1_of(outcome: Outcome) -> float:
    """The F1 of a curve: final, classes of interest, against the truth where that is known."""
    return outcome.standing.f1


def judged(outcomes: Sequence[Outcome], specs: Mapping[str, Spec]) -> Verdicts:
    """Hold every point of ours against the edge alone and the upper hull of each stream.

    Streams count at the canonical width only: a native one that is larger would flatter us.
    Secondlook as it is set, beside the points of the sweep, is judged as well.
    """
    edge = next(outcome for outcome in outcomes if outcome.name == "edge_only")
    streams = {
        title: _cheapest_first(
            outcome
            for outcome in outcomes
            if (spec := specs.get(outcome.name)) is not None
            and spec.kind is kind
            and spec.width_px is not None
        )
        for kind, title in STREAM_TITLES.items()
    }
    ours = _cheapest_first(
        outcome
        for outcome in outcomes
        if (spec := specs.get(outcome.name)) is not None
        and (spec.point or spec.name == "secondlook")
        and spec.kind is Kind.OURS
    )
    points = tuple(_judge(o, _point(specs[o.name]), edge, streams) for o in ours)
    against = "reference" if edge.truth is None else "truth"
    return Verdicts(points, streams, f1_of(edge), against)


def _point(spec: Spec) -> str:
    """What a point of ours is called."""
    if spec.point or spec.pipeline is None:
        return spec.point or "as set"
    return f"τ {spec.pipeline.gate.threshold:g}, as set"


def _judge(
    outcome: Outcome, point: str, edge: Outcome, streams: Mapping[str, Sequence[Outcome]]
) -> PointVerdict:
    best, best_stream = Needed(None), ""
    for title, outcomes in streams.items():
        costs = needed([(o.uplink_kb_per_frame, f1_of(o)) for o in outcomes], f1_of(outcome))
        if costs.kb is not None and (best.kb is None or costs.kb < best.kb):
            best, best_stream = costs, title
    interval = outcome.standing.gain_interval
    return PointVerdict(
        outcome,
        point,
        f1_of(outcome) >= f1_of(edge),
        interval is not None and interval.high < 0,
        best_stream,
        best,
    )


def _cheapest_first(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    return tuple(sorted(outcomes, key=lambda outcome: outcome.uplink_kb_per_frame))
