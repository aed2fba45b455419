"""From the names of systems to systems that run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from secondlook.cli.price.asking import PlainAsker
from secondlook.cli.price.choosers import Budget, Chooser, OracleChooser, RandomChooser
from secondlook.cli.price.comparison import REFERENCE_SCORE
from secondlook.cli.price.edge_only import EdgeOnly
from secondlook.cli.price.edge_side import Purse, camera_pipeline
from secondlook.cli.price.jpeg import CloudJpeg
from secondlook.cli.price.score_band import ScoreBand
from secondlook.cli.price.second_look import SecondLook
from secondlook.cli.price.specs import Kind, Spec
from secondlook.cli.price.system import System
from secondlook.cli.price.tiers import Cloud, counted_channel
from secondlook.cli.price.uplink_asker import AliasAsker, counted_uplink
from secondlook.cli.price.video import H264, H265
from secondlook.cli.price.video_stream import CloudVideo, stream_server
from secondlook.edge.control import BudgetSettings
from secondlook.edge.gate import RiskModel
from secondlook.shared.measure import Metric

CAMERA = "price"
"""The camera of every pipeline: the coin for audits depends on its name."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What systems are built on.

    Attributes:
        cloud: the service.
        names: class names of the light model.
        metric: what counts, for the oracle.
        fps: analysed frames a second.
        band: lowest and highest score of the score band.
        verdict_latency_s: see `SecondLook`.
        seed: of the random gate.
        budget: of Secondlook; ``None``: no limit.
        carrier: see `camera_pipeline`.
        risk: see `camera_pipeline`.
    """

    cloud: Cloud
    names: tuple[str, ...]
    metric: Metric
    fps: float
    band: tuple[float, float]
    verdict_latency_s: float | None
    seed: int
    budget: BudgetSettings | None = None
    carrier: str = ""
    risk: RiskModel | None = None


async def build(specs: Sequence[Spec], bench: Bench, stack: AsyncExitStack) -> list[System]:
    """The systems, each with a counted way of its own to the cloud; closed by ``stack``.

    Args:
        specs: in the order in which they see each frame. The random gate spends what the first
            plain Secondlook before it spends.
        bench: what they are built on.
        stack: closes everything.
    """
    stream_port = 0
    if any(spec.kind in (Kind.H264, Kind.H265) for spec in specs):
        stream_port = await stack.enter_async_context(stream_server(bench.cloud.heavy))
    # Secondlook sees each frame before the gate that is to spend as much.
    order = sorted(range(len(specs)), key=lambda i: specs[i].kind is Kind.RANDOM)
    budget = Budget()
    built: dict[int, System] = {}
    for i in order:
        spec = specs[i]
        noted = budget if spec.name == "secondlook" else None
        # Of one length for all, so that names cost all the same.
        alias = f"{CAMERA}-{i:03d}"
        built[i] = await _system(spec, bench, stack, stream_port, budget, noted, alias)
    return [built[i] for i in order]


async def _system(
    spec: Spec,
    bench: Bench,
    stack: AsyncExitStack,
    stream_port: int,
    budget: Budget,
    noted: Budget | None,
    alias: str,
) -> System:
    if spec.kind is Kind.EDGE:
        assert spec.pipeline is not None
        return EdgeOnly(spec.pipeline, bench.names, risk_of(spec, bench))
    if spec.kind in (Kind.H264, Kind.H265):
        proxy, channel = await stack.enter_async_context(counted_channel(stream_port))
        return CloudVideo(
            spec.name,
            proxy,
            channel,
            codec=H264 if spec.kind is Kind.H264 else H265,
            width_px=spec.width_px,
            fps=bench.fps,
            crf=spec.crf,
            min_score=REFERENCE_SCORE,
        )
    if spec.kind is Kind.JPEG:
        proxy, channel = await stack.enter_async_context(counted_channel(bench.cloud.port))
        return CloudJpeg(
            spec.name,
            proxy,
            PlainAsker(channel),
            width_px=spec.width_px,
            quality=spec.quality,
            min_score=REFERENCE_SCORE,
        )
    assert spec.pipeline is not None
    if spec.kind is Kind.BAND:
        assert spec.width_px is not None
        proxy, channel = await stack.enter_async_context(counted_channel(bench.cloud.port))
        return ScoreBand(
            proxy,
            PlainAsker(channel),
            spec.pipeline,
            bench.names,
            band=bench.band,
            width_px=spec.width_px,
            quality=spec.quality,
            min_score=REFERENCE_SCORE,
            risk=risk_of(spec, bench),
        )
    proxy, uplink = await stack.enter_async_context(counted_uplink(bench.cloud.port))
    chooser: Chooser | None = None
    if spec.kind is Kind.RANDOM:
        chooser = RandomChooser(spec.pipeline, budget, bench.seed)
    elif spec.kind is Kind.ORACLE:
        chooser = OracleChooser(spec.pipeline, bench.metric)
    purse = None
    if bench.budget is not None and spec.kind is Kind.OURS:
        purse = Purse(CAMERA, bench.budget, uplink.wire_bytes)
    return SecondLook(
        camera_pipeline(
            CAMERA, spec.pipeline, bench.names, carrier=bench.carrier, risk=risk_of(spec, bench)
        ),
        proxy,
        AliasAsker(uplink, alias, stranger=not spec.background),
        name=spec.name,
        verdict_latency_s=bench.verdict_latency_s,
        chooser=chooser,
        budget=noted,
        purse=purse,
    )


def risk_of(spec: Spec, bench: Bench) -> RiskModel | None:
    """The risk model of a system: an ablation without the gate file runs on the cold start."""
    assert spec.pipeline is not None
    return bench.risk if spec.pipeline.gate.file else None
