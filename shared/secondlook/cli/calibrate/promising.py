"""What a gate promises: the real pipeline, carrier and heavy model, on a bounded stretch of a clip.

Everything that was asked is really encoded, sent over loopback, decoded and looked at, with the
settings that will run; verdicts simulated from the heavy model's answers on whole frames would
overstate F1 by 0.05 to 0.11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from secondlook.cli.calibrate.footage import Footage
from secondlook.cli.price.changes import changed
from secondlook.cli.price.clip import open_clip
from secondlook.cli.price.comparison import OtherFrames, check_of
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.outcome import KB
from secondlook.cli.price.plan import THRESHOLD, Plan
from secondlook.cli.price.specs import Kind, Spec
from secondlook.cli.price.system import Shot, System
from secondlook.cli.price.systems import Bench, build
from secondlook.edge.gate.gate_parts import Point
from secondlook.shared.measure import Counts, Metric
from secondlook.shared.values import Detections


@dataclass(slots=True)
class Tally:
    """What was counted at one threshold, over any number of clips."""

    threshold: float
    frames: int = 0
    counts: Counts = field(default_factory=Counts)
    missing: int = 0
    start_bytes: int = 0
    starts: int = 0
    later_bytes: int = 0
    inferences: int = 0

    @classmethod
    def of(
        cls, threshold: float, ledger: Ledger, references: Sequence[Detections], metric: Metric
    ) -> Tally:
        """Of one system's ledger over one stretch."""
        found = cls(threshold, frames=len(references), starts=1, inferences=ledger.inferences)
        for answer, reference in zip(ledger.answers, references, strict=True):
            counts = metric.compare(answer.final, reference)
            found.counts = found.counts + counts
            found.missing += counts.false_negatives > 0
        found.start_bytes, found.later_bytes = ledger.up_bytes[0], sum(ledger.up_bytes[1:])
        return found

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.threshold,
            self.frames + other.frames,
            self.counts + other.counts,
            self.missing + other.missing,
            self.start_bytes + other.start_bytes,
            self.starts + other.starts,
            self.later_bytes + other.later_bytes,
            self.inferences + other.inferences,
        )

    def point(self) -> Point:
        """As the gate file keeps it."""
        return Point(
            threshold=self.threshold,
            frames=self.frames,
            f1=round(self.counts.f1, 4),
            recall=round(self.counts.recall, 4),
            miss_rate=round(self.missing / self.frames, 4),
            kb_per_frame=round(self.later_bytes / max(1, self.frames - self.starts) / KB, 4),
            start_kb=round(self.start_bytes / self.starts / KB, 3),
            inferences_per_frame=round(self.inferences / self.frames, 4),
        )


async def measure(
    plan: Plan,
    footage: Footage,
    begin: int,
    bench: Bench,
    thresholds: Sequence[float],
    label: str,
    on_frame: Callable[[int], None],
) -> list[Tally]:
    """Play the frames of a clip from ``begin`` on, once for all thresholds.

    Args:
        plan: the clip, its rate and the settings.
        footage: what both models saw in its untouched frames.
        begin: number of the first frame; what lies before is skipped.
        bench: the cloud, and the risk model.
        thresholds: of the gate.
        label: makes the cameras unknown to the cloud.
        on_frame: told how many frames are done.

    Raises:
        InvalidInput: the clip now shows other frames than those that were watched.
    """
    specs = [
        Spec(
            Kind.OURS,
            f"{label}-{number}",
            f"τ {threshold:g}",
            # The bench's model stands for a gate file that is not written yet.
            pipeline=changed(plan.pipeline, {THRESHOLD: threshold, "gate.file": "(this one)"}),
        )
        for number, threshold in enumerate(thresholds)
    ]
    async with AsyncExitStack() as stack:
        systems = await build(specs, bench, stack)
        clip = await stack.enter_async_context(
            open_clip(plan.clip, plan.analysis_fps, len(footage), clip_fps=plan.clip_fps)
        )
        number = 0
        async for captured in clip:
            if number >= begin:
                if footage.standard.checks[number] != check_of(captured.frame):
                    raise OtherFrames
                shot = Shot(
                    number - begin,
                    captured.frame,
                    captured.media_s,
                    footage.light[number],
                    0.0,
                    footage.standard.references[number],
                )
                for system in systems:
                    await system.see(shot)
                on_frame(number - begin + 1)
            number += 1
        if number != len(footage):
            raise OtherFrames
        for system in systems:
            await system.finish()
    references = footage.standard.references[begin:]
    return [
        Tally.of(threshold, _ledger(systems, spec.name), references, bench.metric)
        for threshold, spec in zip(thresholds, specs, strict=True)
    ]


def _ledger(systems: Sequence[System], name: str) -> Ledger:
    return next(system.ledger for system in systems if system.ledger.name == name)


def best_point(
    points: Sequence[Point], budget_kb_per_frame: float | None, accuracy: float | None
) -> tuple[Point, bool]:
    """The measured point to run at, and whether it keeps what was asked for.

    Of a budget: the most accurate within it. Of an accuracy: the cheapest that reaches it. Where
    none does, the one that comes nearest.
    """
    if budget_kb_per_frame is not None:
        within = [point for point in points if point.kb_per_frame <= budget_kb_per_frame]
        if within:
            return max(within, key=lambda point: (point.f1, -point.kb_per_frame)), True
        return min(points, key=lambda point: point.kb_per_frame), False
    assert accuracy is not None
    reached = [point for point in points if point.f1 >= accuracy]
    if reached:
        return min(reached, key=lambda point: point.kb_per_frame), True
    return max(points, key=lambda point: (point.f1, -point.kb_per_frame)), False
