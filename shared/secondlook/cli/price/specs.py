"""Which systems are compared: their names, and with which numbers each of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from secondlook.cli.price.ablations import ABLATIONS
from secondlook.cli.price.changes import changed
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput


class Kind(str, Enum):
    """What a system is."""

    EDGE = "edge"
    JPEG = "jpeg"
    H264 = "h264"
    H265 = "h265"
    BAND = "band"
    RANDOM = "random"
    ORACLE = "oracle"
    OURS = "ours"


STREAMS = (Kind.JPEG, Kind.H264, Kind.H265)
"""What needs nothing of the edge, so that its answers may be kept (`cache`)."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One system to run.

    Attributes:
        kind: what it is.
        name: in the JSON; unique.
        title: in tables.
        quality: of JPEG.
        crf: of a video stream.
        width_px: frames that are wider travel at this width; ``None``: as they are.
        pipeline: settings of the edge's pipeline; ``None`` where there is none.
        background: whether the cloud may compose on the last whole frame.
        point: where on a curve it lies, in words; empty where it is on none.
    """

    kind: Kind
    name: str
    title: str
    quality: int = 0
    crf: int = 0
    width_px: int | None = None
    pipeline: PipelineSettings | None = None
    background: bool = True
    point: str = ""

    @property
    def cacheable(self) -> bool:
        """Whether its answers depend on nothing but clip, heavy model and these numbers."""
        return self.kind in STREAMS

    def parts(self, analysis_fps: float) -> dict[str, str | int | float | None]:
        """What its answers depend on, besides clip, model and code."""
        return {
            "system": self.kind.value,
            "quality": self.quality,
            "crf": self.crf,
            "width_px": self.width_px,
            "rate": analysis_fps,
        }


DEFAULT_SYSTEMS = ("edge", "jpeg", "h264", "h265", "ours")
"""What is compared where the user does not say."""

LIBRARY_SYSTEMS = ("edge", "jpeg", "h264", "ours")
"""What `Plan` compares by default."""

TITLES = {
    "edge_only": "edge only",
    "cloud_jpeg": "cloud, JPEG",
    "cloud_jpeg_low": "low JPEG",
    "cloud_h264": "cloud, H.264",
    "cloud_h265": "cloud, H.265",
    "cloud_h264_native": "H.264, native",
    "cloud_h265_native": "H.265, native",
    "score_band": "score band",
    "random_gate": "random gate",
    "oracle_gate": "oracle gate",
    "secondlook": "Secondlook",
    **{f"secondlook_{a.key.replace('-', '_')}": a.title for a in ABLATIONS},
}
"""How people call the systems."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers that systems run with.

    Attributes:
        jpeg_quality: of JPEG frames in their native size.
        low_jpeg_quality: of JPEG frames at the canonical width.
        crf: of H.264.
        h265_crf: of H.265.
        pipeline: settings of the edge's pipeline.
    """

    jpeg_quality: int
    low_jpeg_quality: int
    crf: int
    h265_crf: int
    pipeline: PipelineSettings


def system_keys() -> list[str]:
    """Every key that `specs_of` knows, in the order of tables."""
    keys = ["edge", "jpeg", "jpeg-low", "h264", "h265", "h264-native", "h265-native"]
    keys += ["band", "random", "oracle", "ours"]
    keys += [f"ours-{ablation.key}" for ablation in ABLATIONS if ablation.available]
    return [*keys, "ablations", "all"]


def specs_of(keys: Sequence[str], numbers: Numbers) -> list[Spec]:
    """The systems that are named, in the order of tables; none twice.

    ``ablations`` stands for Secondlook without each mechanism, ``all`` for everything. The random
    gate spends what Secondlook spends, so it brings Secondlook along.

    Raises:
        InvalidInput: a name is unknown, or none is given.
    """
    known = system_keys()
    wanted = {key.strip() for key in keys if key.strip()}
    unknown = sorted(wanted - set(known))
    if unknown or not wanted:
        what = f"unknown system {unknown[0]!r}" if unknown else "no system is named"
        raise InvalidInput(f"{what}; expected some of {', '.join(known)}")
    if "all" in wanted:
        wanted = set(known)
    if "ablations" in wanted:
        wanted |= {key for key in known if key.startswith("ours-")}
    if "random" in wanted:
        wanted.add("ours")
    return [_spec(key, numbers) for key in known[:-2] if key in wanted]


def _spec(key: str, numbers: Numbers) -> Spec:
    pipeline = numbers.pipeline
    width_px = pipeline.regions.canonical_width_px
    if key.startswith("ours-"):
        ablation = next(a for a in ABLATIONS if f"ours-{a.key}" == key)
        return Spec(
            Kind.OURS,
            f"secondlook_{ablation.key.replace('-', '_')}",
            ablation.title,
            pipeline=changed(pipeline, ablation.settings),
            background=ablation.background,
        )
    base, _, variant = key.partition("-")
    native = variant == "native"
    if base in ("h264", "h265"):
        name = f"cloud_{base}_native" if native else f"cloud_{base}"
        crf = numbers.crf if base == "h264" else numbers.h265_crf
        return Spec(Kind(base), name, TITLES[name], crf=crf, width_px=None if native else width_px)
    if base == "jpeg":
        low = variant == "low"
        name = "cloud_jpeg_low" if low else "cloud_jpeg"
        quality = numbers.low_jpeg_quality if low else numbers.jpeg_quality
        return Spec(
            Kind.JPEG, name, TITLES[name], quality=quality, width_px=width_px if low else None
        )
    name = {"edge": "edge_only", "band": "score_band", "ours": "secondlook"}.get(
        base, f"{base}_gate"
    )
    return Spec(
        Kind(base),
        name,
        TITLES[name],
        quality=numbers.jpeg_quality,
        width_px=width_px,
        pipeline=pipeline,
    )
