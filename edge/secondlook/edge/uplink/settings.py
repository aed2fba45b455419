"""Settings of the way to the cloud."""

from __future__ import annotations

import ipaddress
from enum import Enum
from pathlib import Path

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from secondlook.shared.settings import Section


class Overflow(str, Enum):
    """What happens when questions come faster than they can be sent."""

    AUTO = "auto"
    """``block`` for recordings played as fast as possible, ``drop_oldest`` for all else."""

    DROP_OLDEST = "drop_oldest"
    """The oldest question is given up; every one is counted."""

    BLOCK = "block"
    """The camera waits. Its answers are published first, so none is late."""


class UplinkTlsSettings(Section):
    """``[uplink.tls]``: certificates."""

    enabled: bool = Field(False, description="Whether the connection is encrypted.")
    ca: Path | None = Field(
        None, description="Authority that signs the service's certificate; default: the system's."
    )
    cert: Path | None = Field(None, description="This device's certificate chain, a PEM file.")
    key: Path | None = Field(None, description="Its private key, a PEM file.")
    server_name: str = Field(
        "", description="Name in the service's certificate, where it is not the address."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together; give both or neither")
        if not self.enabled and (self.ca or self.cert or self.server_name):
            raise ValueError("certificates are given, but enabled is false")
        return self


class UplinkSettings(Section):
    """``[uplink]``: where questions go, and how long and how often they are tried."""

    enabled: bool = Field(True, description="Whether the cloud is asked at all.")
    address: str = Field("127.0.0.1:50051", description="Host and port of the cloud service.")
    tls: UplinkTlsSettings = Field(default_factory=UplinkTlsSettings, description="Certificates.")
    allow_plaintext: bool = Field(
        False, description="Send pictures without TLS to an address that is not loopback."
    )
    model: str = Field(
        "", max_length=128, description="Model to ask for; empty: the service's default."
    )
    timeout_s: float = Field(
        10.0, gt=0, le=600, description="For how long an answer is useful, retries included."
    )
    max_in_flight: int = Field(
        4, ge=1, le=256, description="Most questions that are sent and have no answer yet."
    )
    queue: int = Field(8, ge=1, le=1024, description="Most questions that wait to be sent.")
    overflow: Overflow = Field(Overflow.AUTO, description="What happens when that queue is full.")
    max_attempts: int = Field(3, ge=1, le=10, description="Most attempts for one question.")
    retry_ratio: float = Field(
        0.1, ge=0, le=1, description="Retries allowed for each question sent, in the long run."
    )
    retry_burst: float = Field(
        5.0, ge=0, le=1000, description="Retries that may be saved up for a bad moment."
    )
    backoff_initial_s: float = Field(
        0.1, gt=0, le=60, description="Longest pause before the first retry; doubles each time."
    )
    backoff_max_s: float = Field(2.0, gt=0, le=60, description="Longest pause before a retry.")
    reconnect_max_s: float = Field(
        5.0, ge=0.1, le=300, description="Longest pause between two attempts to connect."
    )
    keepalive_s: float = Field(
        30.0, ge=10, le=3600, description="Pings on a silent connection while answers are awaited."
    )

    @field_validator("address")
    @classmethod
    def _host_and_port(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or not 1 <= int(port) <= 65535 or "/" in address:
            raise ValueError("host:port is expected, for example cloud.example.com:50051")
        return address

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.enabled and not (self.tls.enabled or self.allow_plaintext or self.loopback):
            raise ValueError(
                f"{self.address} is not loopback: set tls.enabled, or allow_plaintext = true"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Whether the service is on this machine."""
        host = self.address.rpartition(":")[0].strip("[]")
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False
