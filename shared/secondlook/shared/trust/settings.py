"""Settings of trust."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from secondlook.shared.settings import Section

MAX_GRID = 64
"""Most thresholds that are tested."""
DEFAULT_GRID = (
    0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4,
    0.5, 0.6, 0.8, 1.0,
)  # fmt: skip


class TrustSettings(Section):
    """``[trust]``: what is promised about missed objects, and how it is proved."""

    alpha: float = Field(
        0.01,
        gt=0,
        lt=0.5,
        description="Promise: at most this share of frames misses an object that the heavy model "
        "sees.",
    )
    delta: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Probability with which a certificate may be wrong, and with which a day may "
        "bring a false alarm.",
    )
    audit_rate: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of frames that are audited: sent whole, chosen by a seeded coin. 0: no "
        "audits, and nothing is proved.",
    )
    seed: int = Field(0, ge=0, description="Seed of that coin, which is logged with each audit.")
    enforce: bool = Field(
        False,
        description="Whether the threshold that the promise needs is asked for at any price; else "
        "`gate.threshold` and the budget decide, and the certificate is a report.",
    )
    alarm_factor: float = Field(
        5.0, ge=1, le=100, description="Audits are this many times as frequent after an alarm."
    )
    window_frames: int = Field(
        100_000,
        ge=100,
        le=100_000_000,
        description="Frames of one window at audit_rate; a certificate rests on one window. "
        "Where audits are more frequent it is shorter.",
    )
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        DEFAULT_GRID,
        min_length=2,
        max_length=MAX_GRID,
        description="Thresholds that are tested, ascending from 0, which sends everything. Cameras "
        "of a site that certify together need the same.",
    )
    start_tau: float = Field(
        0.12, ge=0, le=1, description="Threshold before anything is known about a camera."
    )
    without: Literal["follow", "send_all"] = Field(
        "follow",
        description="Threshold without a certificate: follow the losses of audits (cheap, no "
        "promise), or send everything (dear, keeps the promise).",
    )
    gamma: float = Field(
        0.005, gt=0, le=1, description="Step of the threshold that follows the losses of audits."
    )
    alarm_audits: int = Field(
        100, ge=1, le=100_000, description="Audits without a further alarm that end an alarm."
    )
    restart_s: float = Field(
        86_400.0,
        gt=0,
        le=31_536_000,
        description="How often the monitor begins again and spends a new delta, seconds.",
    )
    remember_s: float = Field(
        86_400.0,
        ge=0,
        le=31_536_000,
        description="Age up to which a certificate outlives a restart, or a site's certificate is "
        "taken over, seconds.",
    )
    wait_s: float = Field(
        3600.0,
        gt=0,
        le=604_800,
        description="Longest that an audit waits for its verdict, seconds; then it is lost.",
    )
    write_every_s: float = Field(
        60.0,
        gt=0,
        le=86_400,
        description="How often the window that fills is written to the memory, seconds.",
    )
    max_pending: int = Field(
        4096,
        ge=1,
        le=1_000_000,
        description="Most audits that wait for their verdict; the oldest beyond that is lost.",
    )

    @field_validator("thresholds")
    @classmethod
    def _ascend(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value[0] != 0 or any(a >= b for a, b in pairwise(value)):
            raise ValueError("thresholds must begin with 0 and ascend")
        return value
