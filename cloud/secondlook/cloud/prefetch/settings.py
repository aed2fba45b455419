"""Settings of the prefetcher."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.cloud.prefetch.prefetcher import AT_ONCE, WHEN_IDLE
from secondlook.shared.settings import Section


class PrefetchSettings(Section):
    """Loading models before they are asked for, where more are known than fit into memory."""

    enabled: bool = Field(True, description="Forecast; else the least recently asked for goes.")
    spare_s: float = Field(
        10.0, ge=0, le=3600, description="How long before it is needed a model may be there."
    )
    at_once: float = Field(
        AT_ONCE, gt=0, le=1, description="Load at once above this probability of being asked for."
    )
    when_idle: float = Field(
        WHEN_IDLE, gt=0, le=1, description="Load when idle from this probability on."
    )
    record: Path | None = Field(
        None, description="Append every request's time and model to this file, for the benchmark."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.when_idle > self.at_once:
            raise ValueError("when_idle must not be above at_once")
        return self
