"""The comparison itself: systems, reference and numbers of one clip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from secondlook.cli.price.asking import PlainAsker
from secondlook.cli.price.clip import open_clip
from secondlook.cli.price.comparison import REFERENCE_SCORE, Captured, Standard, compare
from secondlook.cli.price.edge_only import EdgeOnly
from secondlook.cli.price.h264_stream import CloudH264, stream_server
from secondlook.cli.price.jpeg import CloudJpeg
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.outcome import Outcome, outcome_of
from secondlook.cli.price.second_look import second_look
from secondlook.cli.price.system import System
from secondlook.cli.price.tiers import Cloud, comparison_cloud, counted_channel
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.detect import Detector, ModelInfo
from secondlook.shared.measure import Metric, classes_of_interest


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and how.

    Attributes:
        clip: URL or path of the frames.
        analysis_fps: analysed frames a second of media time.
        clip_fps: frames a second of a clip whose header lies; 0.0 trusts it.
        max_frames: most analysed frames; ``None``: the whole clip.
        classes: class names that count; ``None``: the street set.
        jpeg_quality: of the JPEG baseline, 1 to 100.
        crf: of the H.264 baseline, 0 to 51.
        pipeline: settings of the edge's pipeline.
    """

    clip: str
    analysis_fps: float = 5.0
    clip_fps: float = 0.0
    max_frames: int | None = None
    classes: tuple[str, ...] | None = None
    jpeg_quality: int = 85
    crf: int = 23
    pipeline: PipelineSettings = PipelineSettings()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What came out.

    Attributes:
        plan: what was asked.
        light, heavy: the models.
        metric: on the classes of interest.
        standard: what the answers were held against.
        ledgers: of the systems, in the order they are shown.
    """

    plan: Plan
    light: ModelInfo
    heavy: ModelInfo
    metric: Metric
    standard: Standard
    ledgers: tuple[Ledger, ...]

    def beside(self, ledger: Ledger) -> Comparison:
        """The same with one more system, which saw the same frames."""
        return replace(self, ledgers=(*self.ledgers, ledger))

    def outcomes(self) -> list[Outcome]:
        """Every system in numbers."""
        return [outcome_of(ledger, self.standard, self.metric) for ledger in self.ledgers]

    def as_json(self, outcomes: Sequence[Outcome] | None = None) -> dict[str, Any]:
        """The JSON of `secondlook price`; more keys may come, none goes."""
        return {
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
            "baselines": {"jpeg_quality": self.plan.jpeg_quality, "h264_crf": self.plan.crf},
            "systems": [o.as_json() for o in (self.outcomes() if outcomes is None else outcomes)],
        }


async def price(
    plan: Plan,
    light: Detector,
    heavy: Detector,
    *,
    with_secondlook: bool = True,
    on_frame: Callable[[int, Captured], None] | None = None,
) -> Comparison:
    """Compare all systems on one clip.

    Args:
        plan: what is compared.
        light: the edge's model; closed on return.
        heavy: the cloud's model; closed on return.
        with_secondlook: whether Secondlook is one of the systems.
        on_frame: called with the number of frames done and the last one.

    Raises:
        InvalidInput: the models share no class, a class is unknown, the clip is empty or wrong.
        SourceError: the clip cannot be opened or decoded.
    """
    try:
        classes = classes_of_interest(plan.classes, light.info.names, heavy.info.names)
        async with (
            open_clip(
                plan.clip, plan.analysis_fps, plan.max_frames, clip_fps=plan.clip_fps
            ) as clip,
            comparison_cloud(heavy) as cloud,
            _baselines(plan, light.info, cloud) as baselines,
        ):
            systems: list[System] = list(baselines)
            if with_secondlook:
                async with second_look(plan.pipeline, light.info, cloud.port) as ours:
                    systems.append(ours)
                    standard = await compare(clip, light, cloud.heavy, systems, on_frame)
            else:
                standard = await compare(clip, light, cloud.heavy, systems, on_frame)
    finally:
        light.close()
        heavy.close()
    return Comparison(
        plan,
        light.info,
        heavy.info,
        Metric(classes),
        standard,
        tuple(system.ledger for system in systems),
    )


@asynccontextmanager
async def _baselines(plan: Plan, light: ModelInfo, cloud: Cloud) -> AsyncIterator[list[System]]:
    """Edge only, JPEG frames, H.264 stream."""
    async with (
        counted_channel(cloud.port) as (jpeg_proxy, jpeg_channel),
        stream_server(cloud.heavy) as stream_port,
        counted_channel(stream_port) as (h264_proxy, h264_channel),
    ):
        jpeg = CloudJpeg(
            jpeg_proxy,
            PlainAsker(jpeg_channel),
            quality=plan.jpeg_quality,
            min_score=REFERENCE_SCORE,
        )
        h264 = CloudH264(
            h264_proxy,
            h264_channel,
            fps=plan.analysis_fps,
            crf=plan.crf,
            min_score=REFERENCE_SCORE,
        )
        yield [EdgeOnly(plan.pipeline, light.names), jpeg, h264]


def _model(info: ModelInfo) -> dict[str, str]:
    return {"model": info.name, "version": info.version, "provider": info.provider}
