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


class BreakerSettings(Section):
    """``[uplink.breaker]``: when the cloud is not asked for a while."""

    enabled: bool = Field(True, description="Whether failures stop the asking.")
    window_s: float = Field(
        10.0, ge=0.1, le=3600, description="Over how long calls are looked at, seconds."
    )
    min_calls: int = Field(
        8, ge=1, le=10_000, description="Fewest calls in that time that say anything."
    )
    bad_ratio: float = Field(
        0.5, gt=0, le=1, description="Part of them, failed or slow, that stops the asking."
    )
    slow_s: float = Field(
        5.0, gt=0, le=600, description="A call that takes as long as this counts as slow."
    )
    open_s: float = Field(
        5.0, gt=0, le=3600, description="First pause; it doubles while probes fail."
    )
    open_max_s: float = Field(60.0, gt=0, le=3600, description="Longest pause.")
    jitter: float = Field(
        0.2, ge=0, le=0.9, description="Part of the pause by which it is drawn shorter or longer."
    )
    probes: int = Field(
        3, ge=1, le=100, description="Health checks in a row that must be answered before."
    )
    probe_timeout_s: float = Field(
        2.0, gt=0, le=60, description="Longest wait for the answer to a probe, seconds."
    )


class SpoolSettings(Section):
    """``[uplink.spool]``: what is kept on disk while the cloud cannot be asked."""

    enabled: bool = Field(True, description="Whether anything is kept.")
    path: Path | None = Field(
        None,
        description="Folder; default: `spool` in `$STATE_DIRECTORY` (systemd sets it), else in "
        "`$XDG_STATE_HOME/secondlook`, else in `~/.local/state/secondlook`.",
    )
    max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        le=1024**4,
        description="Most that is kept, bytes; then the oldest goes.",
    )
    audit_fresh_s: float = Field(
        3600.0, ge=0, le=604_800, description="For how long an audit is worth sending; 0: never."
    )
    question_fresh_s: float = Field(
        0.0,
        ge=0,
        le=604_800,
        description="The same for questions that are no audits; 0: they are not kept.",
    )
    budget_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Part of the budget that what was kept may use, so that it makes no burst.",
    )
    per_s: float = Field(
        2.0, gt=0, le=1000, description="Most questions of the spool that are sent a second."
    )


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
    answer_within_s: float | None = Field(
        None,
        gt=0,
        le=600,
        description="Time from a frame in which a verdict serves its answer; later ones serve "
        "learning and memory. Default: timeout_s.",
    )
    max_in_flight: int = Field(
        16, ge=1, le=256, description="Most questions that are sent and have no answer yet."
    )
    queue: int = Field(16, ge=1, le=1024, description="Most questions that wait to be sent.")
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

    breaker: BreakerSettings = Field(
        default_factory=BreakerSettings, description="When the cloud is not asked for a while."
    )
    spool: SpoolSettings = Field(
        default_factory=SpoolSettings,
        description="What is kept on disk while the cloud cannot be asked.",
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
