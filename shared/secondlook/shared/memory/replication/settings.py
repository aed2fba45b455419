"""Settings of the replicator."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.memory.rules import MAX_BATCH
from secondlook.shared.settings import Section


class ReplicationSettings(Section):
    """How the edge's memory and the cloud's are kept the same."""

    enabled: bool = Field(True, description="Whether the memory is shared with the cloud at all.")
    poll_s: float = Field(
        30.0, gt=0, le=86_400, description="How often the cloud is asked for changes, seconds."
    )
    gather_s: float = Field(
        0.5,
        ge=0,
        le=60,
        description="How long local writes are gathered before they are sent, seconds.",
    )
    batch: int = Field(
        MAX_BATCH, ge=1, le=MAX_BATCH, description="Most records in one request or page."
    )
    batch_bytes: int = Field(
        512 * 1024,
        ge=128 * 1024,
        le=4 * 1024 * 1024,
        description="Most bytes of records in one request, before compression.",
    )
    max_bytes_per_s: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="Most bytes a second, up and down together, after compression; 0: no limit.",
    )
    burst_bytes: int = Field(
        256 * 1024,
        ge=1024,
        le=1_000_000_000,
        description="Bytes that may pass at once after a quiet time.",
    )
    backoff_initial_s: float = Field(
        1.0, gt=0, le=3600, description="Longest wait after a first failure, seconds."
    )
    backoff_max_s: float = Field(
        60.0, gt=0, le=86_400, description="Longest wait after many failures, seconds."
    )

    @property
    def request_bytes(self) -> int:
        """Most bytes of records in one request, before compression, which halves them at least.

        Where bytes are limited, a request is no larger than what may pass at once.
        """
        if not self.max_bytes_per_s:
            return self.batch_bytes
        return min(self.batch_bytes, 2 * self.burst_bytes)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.backoff_max_s < self.backoff_initial_s:
            raise ValueError("backoff_max_s must not be below backoff_initial_s")
        return self
