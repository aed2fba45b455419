"""What is compared, and how: all that a comparison depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secondlook.cli.price.changes import changed
from secondlook.cli.price.specs import LIBRARY_SYSTEMS, Kind, Numbers, Spec, specs_of
from secondlook.edge.control import BudgetSettings
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import BLOCK_S

THRESHOLD = "gate.threshold"
"""The setting that a curve sweeps: tau."""

QUALITIES = ("regions.quality", "regions.full_quality")

TAUS = (0.04, 0.08, 0.12, 0.2, 0.3, 0.45)
"""Operating points of Secondlook on a curve."""

CRFS = (22, 26, 30, 34, 38, 42)
"""Operating points of the video streams on a curve."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of a curve.

    Attributes:
        taus: of Secondlook.
        qualities: of Secondlook's pictures; each is combined with each of ``taus``. Empty: as set.
        crfs: of H.264 and H.265.
    """

    taus: tuple[float, ...] = TAUS
    qualities: tuple[int, ...] = ()
    crfs: tuple[int, ...] = CRFS


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
        systems: keys of the systems (`system_keys`).
        low_jpeg_quality: of the JPEG baseline at the canonical width.
        h265_crf: of the H.265 baseline.
        band: lowest and highest score at which the score band asks.
        verdict_latency_s: from capture to verdict; ``None``: as measured on this machine.
        seed: of the random gate and of the intervals.
        block_s: length of the blocks of time that intervals are drawn from.
        curve: more points of Secondlook and of the video streams; ``None``: no curve.
        budget: what Secondlook may spend, as in ``[budget]``; ``None``: no limit.
        carrier: how regions travel, ``canvas`` or ``mosaic``; empty: as the pipeline is set.
        cache: folder for the answers of baselines; ``None``: nothing is kept.
        cloud_model: what the heavy model was loaded from; needed for the cache.
    """

    clip: str
    analysis_fps: float = 5.0
    clip_fps: float = 0.0
    max_frames: int | None = None
    classes: tuple[str, ...] | None = None
    jpeg_quality: int = 85
    crf: int = 23
    pipeline: PipelineSettings = PipelineSettings()  # noqa: RUF009 - frozen
    systems: tuple[str, ...] = LIBRARY_SYSTEMS
    low_jpeg_quality: int = 30
    h265_crf: int = 26
    band: tuple[float, float] = (0.2, 0.8)
    verdict_latency_s: float | None = None
    seed: int = 0
    block_s: float = BLOCK_S
    curve: Curve | None = None
    budget: BudgetSettings | None = None
    carrier: str = ""
    cache: Path | None = None
    cloud_model: str = ""

    def specs(self) -> list[Spec]:
        """The systems to run: those that are named, then the points of the curve.

        Raises:
            InvalidInput: a name or a value is wrong.
        """
        if not 0 <= self.band[0] <= self.band[1] <= 1:
            raise InvalidInput(
                f"band is {self.band[0]:g} to {self.band[1]:g}; "
                "0 <= lowest <= highest <= 1 is expected"
            )
        numbers = Numbers(
            self.jpeg_quality, self.low_jpeg_quality, self.crf, self.h265_crf, self.pipeline
        )
        named = specs_of(self.systems, numbers)
        return named if self.curve is None else [*named, *_points(self.curve, numbers, named)]

    def baselines_json(self) -> dict[str, Any]:
        """The numbers of the baselines, for the JSON."""
        return {
            "jpeg_quality": self.jpeg_quality,
            "low_jpeg_quality": self.low_jpeg_quality,
            "h264_crf": self.crf,
            "h265_crf": self.h265_crf,
            "score_band": list(self.band),
            "canonical_width_px": self.pipeline.regions.canonical_width_px,
        }


def _points(curve: Curve, numbers: Numbers, named: list[Spec]) -> list[Spec]:
    """The systems that a curve adds."""
    specs = []
    if not any(spec.kind is Kind.EDGE for spec in named):
        specs += specs_of(["edge"], numbers)
    has_ours = any(spec.name == "secondlook" for spec in named)
    for quality in curve.qualities or (None,):
        for tau in curve.taus:
            changes: dict[str, Any] = {THRESHOLD: tau}
            point = f"τ {tau:g}"
            name = f"secondlook@tau{tau:g}"
            if quality is not None:
                changes.update(dict.fromkeys(QUALITIES, quality))
                point, name = f"{point}, quality {quality}", f"{name}-q{quality}"
            pipeline = changed(numbers.pipeline, changes)
            if has_ours and pipeline.model_dump() == numbers.pipeline.model_dump():
                continue  # it runs already, as set
            specs.append(
                Spec(Kind.OURS, name, f"Secondlook, {point}", pipeline=pipeline, point=point)
            )
    width_px = numbers.pipeline.regions.canonical_width_px
    for kind, title in ((Kind.H264, "H.264"), (Kind.H265, "H.265")):
        specs += [
            Spec(
                kind,
                f"cloud_{kind.value}@crf{crf}",
                f"{title}, crf {crf}",
                crf=crf,
                width_px=width_px,
                point=f"crf {crf}",
            )
            for crf in curve.crfs
        ]
    return specs
