"""Settings of the cloud service (``cloud.toml`` and ``SECONDLOOK_CLOUD__*``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator
from typing_extensions import Self

from secondlook.cloud.access import check_pattern
from secondlook.cloud.cache.settings import CacheSettings
from secondlook.cloud.prefetch.settings import PrefetchSettings
from secondlook.cloud.server_settings import Port, ServerSettings
from secondlook.cloud.serving_settings import (
    DEMO_MODEL,
    BatcherSettings,
    Control,
    EngineKind,
    EngineSettings,
    ModelSettings,
    RepositorySettings,
)
from secondlook.cloud.stability.settings import BreakerSettings, MonitorSettings
from secondlook.shared.memory.redis_url import is_redis_url
from secondlook.shared.settings import Section
from secondlook.shared.telemetry import LogSettings

Namespace = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Identity = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,126}[!-~])?$")]
CameraPattern = Annotated[str, AfterValidator(check_pattern)]

IN_MEMORY = "sqlite:///:memory:"
"""A context memory that ends with its process."""


class MemorySettings(Section):
    """The context memory of record."""

    url: str = Field(
        "sqlite:///secondlook-cloud.db",
        description="`sqlite:///PATH`, `sqlite:///:memory:`, or a URL of Redis.",
    )
    namespace: Namespace = Field(
        "secondlook", description="Redis: what all keys begin with; one fleet, one namespace."
    )
    wait_replicas: int = Field(
        0, ge=0, le=16, description="Redis: replicas that must have a write before it is answered."
    )
    wait_ms: int = Field(
        1000, ge=1, le=60_000, description="Redis: longest wait for them, milliseconds."
    )
    keep_tombstones_s: float = Field(
        7 * 86_400.0,
        ge=60,
        le=10 * 366 * 86_400.0,
        description="How long deletions are remembered, seconds; an edge that is away for longer "
        "synchronises in full.",
    )
    compact_every_s: float = Field(
        600.0, ge=1, le=86_400, description="Pause between two rounds of forgetting, seconds."
    )
    certify_every_s: float = Field(
        60.0,
        ge=0.1,
        le=86_400,
        description="Pause between two looks at what cameras' audits have shown, to certify their "
        "sites, seconds.",
    )
    max_watches: int = Field(256, ge=1, le=65536, description="Most watches that are open at once.")

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if not (url.startswith("sqlite:///") or is_redis_url(url)):
            raise ValueError("expected sqlite:///PATH or a URL of Redis, such as redis://HOST:6379")
        return url


class DeviceSettings(Section):
    """What the holder of a certificate may do."""

    identity: Identity = Field(
        description="A name in its certificate: a subject alternative name, or the common name."
    )
    cameras: tuple[CameraPattern, ...] = Field(
        (), description="Cameras that it speaks for: `site/camera`, `site/*`, or `*` for all."
    )
    reads: tuple[CameraPattern, ...] = Field(
        (), description="Further cameras whose records it may read; the same patterns."
    )


class AccessSettings(Section):
    """Who may do what, by certificate. Without devices, everyone may do everything."""

    devices: tuple[DeviceSettings, ...] = Field((), description="The devices that are let in.")

    @field_validator("devices")
    @classmethod
    def _distinct(cls, devices: tuple[DeviceSettings, ...]) -> tuple[DeviceSettings, ...]:
        doubled = _doubled([device.identity for device in devices])
        if doubled:
            raise ValueError(f"two devices have the identity {doubled!r}")
        return devices


class MetricsSettings(Section):
    """``/metrics`` for Prometheus and ``/healthz`` for probes, over HTTP."""

    enabled: bool = Field(True, description="Serve them.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(9464, description="HTTP port; 0 lets the system choose.")


class BackgroundSettings(Section):
    """The last full-frame picture of each camera, on which regions are composed."""

    max_cameras: int = Field(256, ge=0, le=65536, description="Most cameras remembered; 0: none.")
    max_age_s: float = Field(3600.0, gt=0, description="An older picture is forgotten, seconds.")


class CanvasSettings(Section):
    """The pictures that canvas streams keep here; see docs/adr/0010."""

    max_canvases: int = Field(
        256, ge=1, le=65536, description="Most canvases held; the one used longest ago goes first."
    )
    processes: int = Field(
        1, ge=1, le=64, description="Decoding processes, each started with its first canvas."
    )
    max_pixels: int = Field(
        2_100_000, ge=4096, le=16_646_400, description="Largest canvas that is decoded, pixels."
    )
    timeout_s: float = Field(
        5.0, gt=0, le=60, description="A decoder that takes longer for an update is replaced."
    )


class CloudSettings(Section):
    """All of ``cloud.toml``. Every table may be absent."""

    server: ServerSettings = Field(default_factory=ServerSettings, description="The gRPC server.")
    models: tuple[ModelSettings, ...] = Field(
        (DEMO_MODEL,),
        description="Models in single files; the first is the default. With `repository.paths` "
        "none is needed.",
    )
    repository: RepositorySettings = Field(
        default_factory=RepositorySettings, description="Directories of models."
    )
    engine: EngineSettings = Field(
        default_factory=EngineSettings, description="What runs the models."
    )
    batcher: BatcherSettings = Field(
        default_factory=BatcherSettings, description="The queue in front of each model."
    )
    prefetch: PrefetchSettings = Field(
        default_factory=PrefetchSettings, description="Loading models ahead."
    )
    breaker: BreakerSettings = Field(
        default_factory=BreakerSettings, description="When a sick backend is left alone."
    )
    cache: CacheSettings = Field(
        default_factory=CacheSettings, description="Answers that are kept."
    )
    memory: MemorySettings = Field(
        default_factory=MemorySettings, description="The context memory of record."
    )
    access: AccessSettings = Field(default_factory=AccessSettings, description="Who may do what.")
    metrics: MetricsSettings = Field(
        default_factory=MetricsSettings, description="Prometheus and probes."
    )
    monitor: MonitorSettings = Field(
        default_factory=MonitorSettings, description="What is measured every second."
    )
    background: BackgroundSettings = Field(
        default_factory=BackgroundSettings, description="Last known pictures of the cameras."
    )
    canvas: CanvasSettings = Field(
        default_factory=CanvasSettings, description="Pictures of canvas streams."
    )
    log: LogSettings = Field(default_factory=LogSettings, description="Logs.")

    @model_validator(mode="before")
    @classmethod
    def _from_repository(cls, given: object) -> object:
        """Where there is a repository, the demo's model is not what was meant."""
        if isinstance(given, dict) and "models" not in given:
            repository = given.get("repository")
            paths = repository.get("paths") if isinstance(repository, dict) else None
            if paths or (isinstance(repository, RepositorySettings) and repository.paths):
                return {**given, "models": ()}
        return given

    @field_validator("models")
    @classmethod
    def _distinct(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        doubled = _doubled([model.name for model in models])
        if doubled:
            raise ValueError(f"two models are named {doubled!r}")
        return models

    @model_validator(mode="after")
    def _identified(self) -> Self:
        if not self.models and not self.repository.paths:
            raise ValueError("models: at least one is needed where there is no repository.paths")
        if self.access.devices and self.server.tls.client_ca is None:
            raise ValueError(
                "access.devices are told apart by their certificates: set server.tls.client_ca"
            )
        if self.engine.kind is EngineKind.REMOTE and self.repository.paths:
            raise ValueError(
                'engine.kind = "remote" serves what the other server has: take repository.paths out'
            )
        return self

    @model_validator(mode="after")
    def _shared_by_processes(self) -> Self:
        """What one process alone can have, several do not get."""
        if self.server.processes == 1:
            return self
        several = f"server.processes = {self.server.processes}"
        if self.memory.url == IN_MEMORY:
            raise ValueError(
                f"{several}: each process would have a context memory of its own; set "
                "memory.url to a file or to Redis"
            )
        if self.repository.control is Control.EXPLICIT:
            raise ValueError(
                f"{several}: a load by name would reach one of the processes; set "
                'repository.control = "poll", so that all of them follow the files'
            )
        if self.prefetch.record is not None:
            raise ValueError(
                f"{several}: prefetch.record is one process's file; record with processes = 1"
            )
        return self

    def absent(self) -> list[str]:
        """See `Section.absent`."""
        return self.repository.absent()


def _doubled(names: list[str]) -> str | None:
    """The first name that occurs twice."""
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
