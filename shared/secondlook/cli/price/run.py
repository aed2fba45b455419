"""The comparison itself: systems, reference and numbers of one clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.to_thread

from secondlook.cli.price.clip import open_clip
from secondlook.cli.price.comparison import (
    REFERENCE_SCORE,
    Captured,
    OtherFrames,
    Standard,
    compare,
)
from secondlook.cli.price.curve import Verdicts, judged
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.outcome import EdgeCounts, Outcome, outcome_of
from secondlook.cli.price.plan import Plan
from secondlook.cli.price.specs import Kind, Spec
from secondlook.cli.price.stored import Stored, no_store, open_store
from secondlook.cli.price.system import System
from secondlook.cli.price.systems import Bench, build
from secondlook.cli.price.tiers import comparison_cloud
from secondlook.edge.gate.opening import open_gate
from secondlook.shared.detect import Detector, ModelInfo
from secondlook.shared.measure import Blocks, Metric, classes_of_interest
from secondlook.shared.telemetry import get_logger

__all__ = ["Comparison", "Plan", "price"]

_log = get_logger(__name__)

OnFrame = Callable[[int, Captured], None]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What came out.

    Attributes:
        plan: what was asked.
        light, heavy: the models.
        metric: on the classes of interest.
        standard: what the answers were held against.
        ledgers: of the systems, in the order they are shown.
        specs: of the systems by name, as far as they ran here.
        kept: names of the systems whose answers were kept from an earlier run.
    """

    plan: Plan
    light: ModelInfo
    heavy: ModelInfo
    metric: Metric
    standard: Standard
    ledgers: tuple[Ledger, ...]
    specs: dict[str, Spec] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    def beside(self, ledger: Ledger) -> Comparison:
        """The same with one more system, which saw the same frames."""
        return replace(self, ledgers=(*self.ledgers, ledger))

    def blocks(self) -> Blocks:
        """The blocks of time that intervals are drawn from."""
        return Blocks(self.standard.media_s, self.plan.block_s, seed=self.plan.seed)

    def outcomes(self) -> list[Outcome]:
        """Every system in numbers."""
        blocks = self.blocks()
        edge = next((ledger for ledger in self.ledgers if ledger.name == "edge_only"), None)
        counts = None if edge is None else EdgeCounts.of(edge, self.standard, self.metric)
        return [
            outcome_of(
                ledger,
                self.standard,
                self.metric,
                blocks=blocks,
                edge=counts,
                title=self.specs[ledger.name].title if ledger.name in self.specs else "",
            )
            for ledger in self.ledgers
        ]

    def verdicts(self, outcomes: Sequence[Outcome]) -> Verdicts | None:
        """What the curve says; ``None`` where none was asked for."""
        if self.plan.curve is None:
            return None
        return judged(outcomes, self.specs)

    def as_json(self, outcomes: Sequence[Outcome] | None = None) -> dict[str, Any]:
        """The JSON of `secondlook price`; more keys may come, none goes."""
        shown = self.outcomes() if outcomes is None else outcomes
        blocks = self.blocks()
        data: dict[str, Any] = {
            "clip": self.plan.clip,
            "frames": len(self.standard),
            "analysis_fps": self.plan.analysis_fps,
            "duration_s": round(self.standard.duration_s, 3),
            "size": [self.standard.width, self.standard.height],
            "edge_model": _model(self.light),
            "reference": {
                **_model(self.heavy),
                "min_score": REFERENCE_SCORE,
                "frames": "untouched native frames",
            },
            "metric": {
                "classes": list(self.metric.classes or ()),
                "dedupe_iou": self.metric.dedupe_iou,
                "match_iou": self.metric.match_iou,
                "average": "micro",
            },
            "intervals": {
                "method": "bootstrap over blocks of time",
                "block_s": round(blocks.block_s, 3),
                "blocks": blocks.count,
                "seed": self.plan.seed,
            },
            "verdict_latency_s": self.plan.verdict_latency_s,
            "carrier": self.plan.carrier or None,
            "budget": None
            if self.plan.budget is None
            else self.plan.budget.model_dump(include={"kb_per_s", "cloud_per_s", "burst_s"}),
            "baselines": self.plan.baselines_json(),
            "kept_from_earlier_runs": sorted(self.kept),
            "systems": [outcome.as_json() for outcome in shown],
        }
        verdicts = self.verdicts(shown)
        if verdicts is not None:
            data["curve"] = verdicts.as_json()
        return data


async def price(
    plan: Plan,
    light: Detector,
    heavy: Detector,
    *,
    with_secondlook: bool = True,
    on_frame: OnFrame | None = None,
    on_total: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare all systems on one clip.

    Args:
        plan: what is compared.
        light: the edge's model; closed on return.
        heavy: the cloud's model; closed on return.
        with_secondlook: whether Secondlook is one of the systems.
        on_frame: called with the number of frames done and the last one.
        on_total: called with the number of frames that are expected, where that is known.

    Raises:
        InvalidInput: the models share no class, a class or system is unknown, the clip is empty
            or wrong, the gate file cannot be used with this light model.
        SourceError: the clip cannot be opened or decoded.
    """
    try:
        gate = await anyio.to_thread.run_sync(open_gate, plan.pipeline, light.info)
        if gate.pipeline is not plan.pipeline:
            plan = replace(plan, pipeline=gate.pipeline)
        specs = [s for s in plan.specs() if with_secondlook or s.kind is not Kind.OURS]
        metric = Metric(classes_of_interest(plan.classes, light.info.names, heavy.info.names))
        stored = await open_store(plan, heavy.info)
        async with comparison_cloud(heavy) as cloud:
            bench = Bench(
                cloud,
                light.info.names,
                metric,
                plan.analysis_fps,
                plan.band,
                plan.verdict_latency_s,
                plan.seed,
                plan.budget,
                plan.carrier,
                gate.risk,
            )
            done = await _pass(plan, specs, bench, light, stored, on_frame, on_total)
            if done is None:
                _log.warning("what was kept is of other frames; everything is computed again")
                done = await _pass(plan, specs, bench, light, no_store(), on_frame, on_total)
                assert done is not None
    finally:
        light.close()
        heavy.close()
    standard, ledgers, kept = done
    return Comparison(
        plan,
        light.info,
        heavy.info,
        metric,
        standard,
        tuple(ledgers[spec.name] for spec in specs),
        {spec.name: spec for spec in specs},
        kept,
    )


async def _pass(
    plan: Plan,
    specs: Sequence[Spec],
    bench: Bench,
    light: Detector,
    stored: Stored,
    on_frame: OnFrame | None,
    on_total: Callable[[int], None] | None,
) -> tuple[Standard, dict[str, Ledger], frozenset[str]] | None:
    """Play the clip once before all systems that nothing is kept of.

    Returns:
        The standard, every system's ledger, and which of them were kept; ``None`` where what is
        kept is of other frames.
    """
    kept = await stored.load(specs)
    live = [spec for spec in specs if spec.name not in kept]
    # Baselines want nothing of the edge's model.
    eyes = light if any(not spec.cacheable for spec in live) else None
    async with AsyncExitStack() as stack:
        clip = await stack.enter_async_context(
            open_clip(
                plan.clip,
                plan.analysis_fps,
                plan.max_frames,
                clip_fps=plan.clip_fps,
                on_total=on_total,
            )
        )
        systems: list[System] = await build(live, bench, stack)
        try:
            standard = await compare(
                clip, eyes, stored.referee(bench.cloud.heavy), systems, on_frame
            )
        except OtherFrames:
            return None
        if not stored.fits(len(standard)):
            return None
    made = {system.ledger.name: system.ledger for system in systems}
    await stored.save(live, made, standard)
    return standard, {**kept, **made}, frozenset(kept)


def _model(info: ModelInfo) -> dict[str, str]:
    return {"model": info.name, "version": info.version, "provider": info.provider}
