"""What the user of ``secondlook calibrate`` asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secondlook.edge.pipeline_settings import PipelineSettings


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the user asked for.

    Attributes:
        clips: trained on.
        holdout: only measured on.
        same_cameras: whether the gate is for the cameras of the clips and no other.
        edge_model, cloud_model: file or ``zoo:NAME``.
        analysis_fps: analysed frames a second of a clip's own time.
        clip_fps: frames a second of clips whose header lies; 0.0 trusts it.
        max_frames: most analysed frames of each clip.
        classes: that count; ``None``: the street set.
        pipeline: the settings that will run.
        thresholds: of the promise; empty: no promise.
        promise_frames: most frames of each clip on which it is measured.
        verdict_latency_s: from a frame to its verdict.
        budget_kb_per_frame, accuracy: what the threshold is chosen for; at most one.
        cache: folder for what the models said; ``None``: nothing is kept.
        note: free text for the file.
    """

    clips: tuple[str, ...]
    edge_model: str
    cloud_model: str
    holdout: tuple[str, ...] = ()
    same_cameras: bool = False
    analysis_fps: float = 5.0
    clip_fps: float = 0.0
    max_frames: int = 2000
    classes: tuple[str, ...] | None = None
    pipeline: PipelineSettings = PipelineSettings()  # noqa: RUF009 - frozen
    thresholds: tuple[float, ...] = ()
    promise_frames: int = 150
    verdict_latency_s: float = 0.25
    budget_kb_per_frame: float | None = None
    accuracy: float | None = None
    cache: Path | None = None
    note: str = ""
