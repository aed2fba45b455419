"""Settings of the edge daemon (``edge.toml`` and ``SECONDLOOK_EDGE__*``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from secondlook.edge.capture.settings import CaptureSettings
from secondlook.edge.control.settings import BudgetSettings, CameraBudget
from secondlook.edge.decisions.settings import DecisionSettings
from secondlook.edge.evidence.miss_settings import MissSettings
from secondlook.edge.memory.settings import MemorySettings
from secondlook.edge.pipeline_settings import (
    CanvasSettings,
    FusionSettings,
    GateSettings,
    MotionSettings,
    PipelineSettings,
    PrivacySettings,
    RegionSettings,
    TrackerSettings,
)
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.edge.sinks.settings import SinkSettings
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.shared.settings import Section
from secondlook.shared.telemetry import LogSettings
from secondlook.shared.trust import SITE_CAMERA, TrustSettings

CameraId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$")
]


class CameraSettings(CaptureSettings):
    """``[[cameras]]``: one camera, and how it is captured."""

    id: CameraId = Field(
        max_length=128, description="Name of the camera, `camera` or `site/camera`."
    )
    url: str = Field(
        min_length=1,
        description="File, image folder, rtsp://, http(s)://, /dev/video0, gst:// or sim://.",
    )
    budget: CameraBudget | None = Field(
        None, description="What it may send and ask; default: budget.per_camera."
    )

    @field_validator("id")
    @classmethod
    def _free(cls, name: str) -> str:
        if name.rpartition("/")[2] == SITE_CAMERA:
            raise ValueError(f"{SITE_CAMERA} is where the records of a site are; choose another")
        return name


class DetectorSettings(Section):
    """``[detector]``: the light model, shared by all cameras."""

    model: str = Field(
        "zoo:street_light",
        min_length=1,
        description="ONNX file, or `zoo:NAME` for a model that comes with Secondlook.",
    )
    names: str | tuple[str, ...] | None = Field(
        None, description="Class names in order, or `coco`; default: from the file or a sidecar."
    )
    providers: tuple[str, ...] = Field(
        ("auto",), min_length=1, description="Execution providers to try, in order, or `auto`."
    )
    threads: int = Field(0, ge=0, le=256, description="Threads of the network; 0: one per core.")
    min_score: float = Field(
        0.05, gt=0, lt=1, description="Weakest boxes that the gate may ask about."
    )
    max_batch: int = Field(
        1, ge=1, le=64, description="Frames of different cameras that run through it together."
    )


class MetricsSettings(Section):
    """``[metrics]``: Prometheus over HTTP."""

    enabled: bool = Field(True, description="Whether /metrics is served.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(0, ge=0, le=65535, description="HTTP port; 0 lets the system choose.")


class RunSettings(Section):
    """``[run]``: how the daemon starts over and stops."""

    drain_timeout_s: float = Field(
        10.0, ge=0, le=600, description="Longest wait for verdicts at the end, seconds."
    )
    restart_initial_s: float = Field(
        1.0, ge=0.01, le=600, description="Pause before a failed camera starts again; doubles."
    )
    restart_max_s: float = Field(
        30.0, ge=0.01, le=3600, description="Longest pause before a failed camera starts again."
    )
    status_every_s: float = Field(
        10.0, gt=0, le=3600, description="How often a line about each camera is logged, seconds."
    )


class EdgeSettings(Section):
    """Everything the edge daemon can be told."""

    cameras: tuple[CameraSettings, ...] = Field(
        min_length=1, max_length=256, description="The cameras, at least one."
    )
    detector: DetectorSettings = Field(
        default_factory=DetectorSettings, description="The light model."
    )
    motion: MotionSettings = Field(default_factory=MotionSettings, description="Still frames.")
    tracker: TrackerSettings = Field(default_factory=TrackerSettings, description="Tracks.")
    gate: GateSettings = Field(default_factory=GateSettings, description="What is asked.")
    misses: MissSettings = Field(
        default_factory=MissSettings, description="Signs that an object was missed."
    )
    regions: RegionSettings = Field(default_factory=RegionSettings, description="How it travels.")
    canvas: CanvasSettings = Field(
        default_factory=CanvasSettings, description="How a canvas is encoded."
    )
    fusion: FusionSettings = Field(default_factory=FusionSettings, description="What is published.")
    selftest: SelftestSettings = Field(
        default_factory=SelftestSettings, description="Which way of working pays."
    )
    trust: TrustSettings = Field(
        default_factory=TrustSettings, description="What is promised, and how it is proved."
    )
    budget: BudgetSettings = Field(
        default_factory=BudgetSettings, description="What may be sent and asked."
    )
    uplink: UplinkSettings = Field(default_factory=UplinkSettings, description="The cloud.")
    memory: MemorySettings = Field(
        default_factory=MemorySettings, description="What outlives a restart."
    )
    privacy: PrivacySettings = Field(
        default_factory=PrivacySettings, description="What is made unrecognisable."
    )
    decisions: DecisionSettings = Field(
        default_factory=DecisionSettings, description="Why each frame was or was not sent."
    )
    sinks: SinkSettings = Field(default_factory=SinkSettings, description="Where answers go.")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Prometheus.")
    run: RunSettings = Field(default_factory=RunSettings, description="Start and stop.")
    log: LogSettings = Field(default_factory=LogSettings, description="The log.")

    @field_validator("cameras")
    @classmethod
    def _distinct(cls, cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
        ids = [camera.id for camera in cameras]
        doubles = sorted({name for name in ids if ids.count(name) > 1})
        if doubles:
            raise ValueError(f"camera ids must differ; used twice: {', '.join(doubles)}")
        return cameras

    @property
    def pipeline(self) -> PipelineSettings:
        """The part that each camera's pipeline takes."""
        return PipelineSettings(
            motion=self.motion,
            tracker=self.tracker,
            gate=self.gate,
            misses=self.misses,
            regions=self.regions,
            canvas=self.canvas,
            fusion=self.fusion,
            selftest=self.selftest,
            trust=self.trust,
            memory=self.memory,
            privacy=self.privacy,
        )
