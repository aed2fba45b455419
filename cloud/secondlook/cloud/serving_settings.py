"""Settings of what is served: models, where they come from, what runs them, the queue before it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from typing_extensions import Self

from secondlook.cloud.engine.batching import Overflow
from secondlook.cloud.engine.ray.settings import RaySettings
from secondlook.cloud.engine.remote.settings import RemoteSettings
from secondlook.cloud.repository.bounds import NAME, fault_of_name
from secondlook.shared.settings import Section


def _check_name(name: str) -> str:
    fault = fault_of_name(name)
    if fault:
        raise ValueError(fault)
    return name


Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$"), AfterValidator(_check_name)]


class ModelSettings(Section):
    """A model that is served."""

    name: Name = Field(description="Name by which escalations ask for it.")
    path: str = Field(
        min_length=1, description="ONNX file, or `zoo:NAME` for a model that comes with Secondlook."
    )
    version: str | None = Field(
        None, min_length=1, max_length=128, description="Release; default: from the file."
    )
    providers: tuple[str, ...] = Field(
        ("auto",), min_length=1, description="Execution providers to try, in order, or `auto`."
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads of the network; 0: one per core, divided by `server.processes`.",
    )
    min_score: float = Field(
        0.05, gt=0, lt=1, description="Boxes below are not returned where the edge names no score."
    )
    max_batch: int = Field(
        0, ge=0, le=256, description="Most images in one call; 0: 1 on a CPU, 16 elsewhere."
    )


DEMO_MODEL = ModelSettings(name="street_heavy", path="zoo:street_heavy")
"""What is served where no model is configured: the demo's heavy detector."""


class Control(str, Enum):
    """Who decides which models of the repository are served."""

    POLL = "poll"
    """Whoever changes its files."""

    NONE = "none"
    """Nobody: what is there at the start."""

    EXPLICIT = "explicit"
    """Callers, who load and unload by name."""


class RepositorySettings(Section):
    """Directories of models in Triton's layout, and who decides what is served from them."""

    paths: tuple[Path, ...] = Field(
        (), description="Directories that hold models; of two models of one name the first counts."
    )
    control: Control = Field(
        Control.POLL,
        description="`poll`: what lies there is served, as it changes; `none`: what lies there at "
        "the start; `explicit`: what callers load by name.",
    )
    poll_s: float = Field(
        5.0,
        ge=0.05,
        le=3600,
        description="Pause between two looks, seconds; a change counts when the second look finds "
        "it unchanged.",
    )
    load: tuple[Name, ...] = Field(
        (), description="Models to load at the start; with `explicit` control only."
    )
    memory_mb: int = Field(
        0,
        ge=0,
        le=16 * 1024 * 1024,
        description="Most that the models in memory take together, MiB; the others are loaded when "
        "they are asked for, or ahead, see `prefetch`. 0: no bound, all are loaded.",
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.memory_mb and not self.paths:
            raise ValueError("memory_mb needs paths")
        if self.load and self.control is not Control.EXPLICIT:
            raise ValueError('load goes with control = "explicit" only; otherwise all is loaded')
        if self.load and not self.paths:
            raise ValueError("load needs paths")
        return self

    def absent(self) -> list[str]:
        """See `Section.absent`."""
        return [
            f"repository.paths: {path} is no directory" for path in self.paths if not path.is_dir()
        ]


class EngineKind(str, Enum):
    """What runs the models."""

    LOCAL = "local"
    """This process."""

    RAY = "ray"
    """A Ray cluster."""

    REMOTE = "remote"
    """A Triton or KServe server, which has models of its own."""


class EngineSettings(Section):
    """What runs the models."""

    kind: EngineKind = Field(
        EngineKind.LOCAL,
        description="`local`: this process; `ray`: a Ray cluster; `remote`: a Triton or KServe "
        "server, with models of its own.",
    )
    default: str = Field(
        "",
        max_length=128,
        description="Model of the escalations that name none; default: the first of `models`, or "
        "the first that is ready.",
    )
    ray: RaySettings = Field(default_factory=RaySettings, description="The Ray cluster.")
    remote: RemoteSettings = Field(
        default_factory=RemoteSettings, description="The server elsewhere."
    )


class BatcherSettings(Section):
    """The queue in front of each model."""

    max_queue: int = Field(64, ge=1, le=65536, description="Most requests that wait, per model.")
    max_wait_ms: float = Field(
        0.0, ge=0, le=1000, description="How long an idle device waits for a fuller batch."
    )
    max_per_tenant: int = Field(
        0,
        ge=0,
        le=65536,
        description="Most of them of one tenant; 0: no bound but the queue's.",
    )
    overflow: Overflow = Field(
        Overflow.REJECT, description="What a full queue does: `reject` or `drop_oldest`."
    )
    admission: bool = Field(
        True, description="Refuse at once what could not be answered before its deadline."
    )
