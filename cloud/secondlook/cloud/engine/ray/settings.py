"""Which cluster, and how large the deployments are."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.settings import Section


class RaySettings(Section):
    """The Ray cluster that runs the models, with ``engine.kind = "ray"``."""

    address: str = Field(
        "auto",
        description="Address of the cluster, `auto` for the one of this machine, `local` for one "
        "of our own.",
    )
    min_replicas: int = Field(1, ge=1, le=1024, description="Fewest replicas of a model.")
    max_replicas: int = Field(4, ge=1, le=1024, description="Most replicas of a model.")
    target_in_flight: float = Field(
        4.0, gt=0, le=1024, description="Requests per replica at which another one is added."
    )
    scale_up_s: float = Field(
        5.0, gt=0, le=3600, description="How long that holds before another one is added, seconds."
    )
    scale_down_s: float = Field(
        120.0, gt=0, le=86400, description="How long fewer would do before one is ended, seconds."
    )
    cpus: float = Field(1.0, ge=0, le=1024, description="Processors that a replica claims.")
    gpus: float = Field(0.0, ge=0, le=64, description="GPUs that a replica claims.")
    max_in_flight: int = Field(
        256, ge=1, le=65536, description="Most requests of a model that this process has under way."
    )
    start_timeout_s: float = Field(
        300.0, gt=0, le=3600, description="Longest wait for the first replica of a model, seconds."
    )
    attempts: int = Field(
        5, ge=1, le=20, description="How often a request is asked where replicas die under it."
    )
    lease_s: float = Field(
        30.0,
        ge=2,
        le=3600,
        description="How long models are kept on the cluster for a process that says nothing any "
        "more, seconds; it says what it needs three times as often.",
    )
    linger_s: float = Field(
        0.0,
        ge=0,
        le=604800,
        description="How long models are kept on the cluster after the last process that needed "
        "them has ended in order, seconds; for one that starts again.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not be above max_replicas")
        return self

    def replicas(self) -> tuple[object, ...]:
        """Everything that makes replicas what they are."""
        return (
            *(self.min_replicas, self.max_replicas, self.cpus, self.gpus, self.max_in_flight),
            *(self.target_in_flight, self.scale_up_s, self.scale_down_s),
        )
