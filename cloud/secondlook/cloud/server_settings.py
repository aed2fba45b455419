"""Settings of the gRPC server: where it listens, with which certificates, what it takes on."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.settings import Section

Port = Annotated[int, Field(ge=0, le=65535)]


class TlsSettings(Section):
    """Certificates. With ``client_ca``, clients must show one too (mutual TLS)."""

    cert: Path | None = Field(None, description="Certificate chain of the service, a PEM file.")
    key: Path | None = Field(None, description="Private key of the certificate, a PEM file.")
    client_ca: Path | None = Field(
        None, description="Authority that signs the clients' certificates, a PEM file."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together; give both or neither")
        if self.client_ca is not None and self.cert is None:
            raise ValueError("client_ca needs cert and key")
        return self

    @property
    def enabled(self) -> bool:
        """Whether the service speaks TLS."""
        return self.cert is not None


class ServerSettings(Section):
    """Where the service listens and what it takes on."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(50051, description="gRPC port; 0 lets the system choose.")
    reuse_port: bool = Field(
        False, description="Let services that are started by themselves listen on the same port."
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the port, each with its own models, queues and limits; "
        "one that dies is started again.",
    )
    allow_plaintext: bool = Field(
        False, description="Listen without TLS on an address that is not loopback."
    )
    max_message_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="Largest message accepted."
    )
    max_concurrent: int = Field(
        64, ge=1, le=4096, description="Most escalations in work, and most pictures to decode."
    )
    max_streams: int = Field(
        1024, ge=1, le=65536, description="Most calls of all kinds that are open at once."
    )
    max_image_pixels: int = Field(
        16_000_000, ge=4096, le=64_000_000, description="Largest picture that is decoded."
    )
    decode_threads: int = Field(
        0,
        ge=0,
        le=64,
        description="Pictures decoded at once; 0: one per core, at most 4, divided likewise.",
    )
    default_deadline_s: float = Field(
        30.0, gt=0, le=600, description="Deadline of a call that brings none, seconds."
    )
    drain_timeout_s: float = Field(
        10.0, ge=0, le=600, description="Longest wait for accepted work at shutdown, seconds."
    )
    tls: TlsSettings = Field(default_factory=TlsSettings, description="Certificates.")

    @property
    def shared(self) -> bool:
        """Whether other processes may listen on the port as well."""
        return self.reuse_port or self.processes > 1

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not (self.tls.enabled or self.allow_plaintext or is_loopback(self.host)):
            raise ValueError(
                f"{self.host} is not loopback: set tls.cert and tls.key, or allow_plaintext = true"
            )
        if self.processes > 1 and self.host.startswith("unix:"):
            raise ValueError(f"processes = {self.processes} share a TCP port; {self.host} is none")
        return self


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches ``host``."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
