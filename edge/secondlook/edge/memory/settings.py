"""Settings of the edge's memory: what is remembered, where, for how long, and how it is shared."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from secondlook.edge.pipeline_settings import KnowledgeSettings
from secondlook.edge.state import kept_at
from secondlook.shared.memory.replication import ReplicationSettings

Scope = Literal["site", "cameras"]
FILE_NAME = "edge-memory.db"


class SyncSettings(ReplicationSettings):
    """``[memory.sync]``: how the edge's memory and the cloud's are kept the same."""

    gather_s: float = Field(
        15.0,
        ge=0,
        le=600,
        description="How long local writes are gathered before they are sent, seconds: a record "
        "that is written again meanwhile is sent once.",
    )


class MemorySettings(KnowledgeSettings):
    """``[memory]``: what outlives a restart, and what the cloud and other edges learn of it."""

    enabled: bool = Field(True, description="Whether anything is remembered at all.")
    path: Path | None = Field(
        None,
        description=f"SQLite file; default: `{FILE_NAME}` in `$STATE_DIRECTORY` (systemd sets it), "
        "else in `$XDG_STATE_HOME/secondlook`, else in `~/.local/state/secondlook`.",
    )
    max_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        le=1024**4,
        description="Most that all records weigh; then what the cloud has goes, oldest first.",
    )
    device: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Name under which this edge writes; default: the host's name. With mutual TLS "
        "it must equal the identity in this device's certificate.",
    )
    verdict_life_s: float = Field(
        3600.0, ge=1, le=31_536_000, description="How long verdicts are kept as records, seconds."
    )
    trust_life_s: float = Field(
        30 * 86_400.0,
        ge=3600,
        le=31_536_000,
        description="How long what audits have shown is kept as records, seconds.",
    )
    tombstones_s: float = Field(
        7 * 86_400.0,
        ge=60,
        le=31_536_000,
        description="How long deletions are kept so that the cloud learns of them, seconds.",
    )
    queue: int = Field(
        512,
        ge=16,
        le=65_536,
        description="Most records of a camera that wait to be written; then the oldest goes.",
    )
    write_every_s: float = Field(
        0.5,
        ge=0,
        le=60,
        description="How long records are gathered before they are written together, seconds; "
        "what a killed process loses.",
    )
    recall_timeout_s: float = Field(
        3.0,
        gt=0,
        le=60,
        description="Longest that the first frame of a camera waits for what was known, seconds.",
    )
    scope: Scope = Field(
        "site",
        description="What is shared with the cloud: `site`, the records of all cameras of this "
        "edge's sites, or `cameras`, those of its own cameras alone.",
    )
    sync: SyncSettings = Field(
        default_factory=SyncSettings,
        description="How it is shared with the cloud, where the uplink is enabled.",
    )

    def writer(self) -> str:
        """The name under which this edge writes."""
        name = self.device or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64]
        return name or "edge"


def memory_file(settings: MemorySettings, environ: Mapping[str, str]) -> Path:
    """Where the memory is.

    Raises:
        InvalidConfig: the settings do not say, and there is no home directory.
    """
    return kept_at(settings.path, FILE_NAME, environ, what="keep the memory", setting="memory.path")
