"""Where the other server is, and how it is asked."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from secondlook.shared.settings import Section


class RemoteSettings(Section):
    """The server that runs the models, with ``engine.kind = "remote"``."""

    address: str = Field("127.0.0.1:8001", min_length=1, description="Its gRPC address, host:port.")
    tls: bool = Field(False, description="Encrypt the connection.")
    ca: Path | None = Field(
        None, description="Authority that signed its certificate, a PEM file; else the system's."
    )
    models: tuple[str, ...] = Field(
        (), description="Models to offer; empty: all that its repository index names."
    )
    refresh_s: float = Field(
        10.0, gt=0, le=3600, description="How often to look which models it has, seconds."
    )
    timeout_s: float = Field(
        30.0, gt=0, le=600, description="Longest wait for what is no inference, seconds."
    )
    max_in_flight: int = Field(
        256, ge=1, le=65536, description="Most requests that it works on for us at once."
    )
    threads: int = Field(4, ge=1, le=64, description="Pictures that are prepared for it at once.")
