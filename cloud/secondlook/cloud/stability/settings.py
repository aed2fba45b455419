"""Settings of the breaker and of the monitor."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.settings import Section


class BreakerSettings(Section):
    """When a backend that fails, hangs or is slow is left alone for a while."""

    enabled: bool = Field(True, description="Whether a sick backend is left alone.")
    window_s: float = Field(
        2.0,
        ge=0.01,
        le=3600,
        description="Length of a window over which calls are judged, seconds.",
    )
    windows: int = Field(
        3, ge=1, le=100, description="Bad windows in a row after which no more calls are made."
    )
    min_calls: int = Field(
        5,
        ge=1,
        le=10_000,
        description="Fewest calls that a window is judged by; with fewer it goes on, at most ten "
        "times as long.",
    )
    bad_ratio: float = Field(
        0.8, gt=0, le=1, description="Part of a window's calls, failed or slow, that makes it bad."
    )
    slow_s: float = Field(
        10.0, ge=0, le=3600, description="A call that takes as long is slow, seconds; 0: never."
    )
    slow_ratio: float = Field(
        10.0,
        ge=0,
        le=10_000,
        description="A call that takes so many times the usual time for its rows is slow; "
        "0: never.",
    )
    slow_least_s: float = Field(
        0.5,
        ge=0,
        le=3600,
        description="No call below this is slow by `slow_ratio`, seconds.",
    )
    hang_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="A call under way for so long hangs, and is bad in each window, seconds.",
    )
    open_s: float = Field(
        5.0, gt=0, le=3600, description="First pause, seconds; it doubles while probes fail."
    )
    open_max_s: float = Field(60.0, gt=0, le=3600, description="Longest pause, seconds.")
    jitter: float = Field(
        0.2, ge=0, le=0.9, description="Part of the pause by which it is drawn shorter or longer."
    )
    probes: int = Field(
        3, ge=1, le=100, description="Calls that go through after a pause; all have to be good."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.open_max_s < self.open_s:
            raise ValueError("open_max_s is shorter than open_s")
        return self


class MonitorSettings(Section):
    """What is measured every second, for `/metrics`."""

    enabled: bool = Field(True, description="Whether it is measured.")
    every_s: float = Field(1.0, ge=0.1, le=60, description="Pause between two looks, seconds.")
    window_s: float = Field(
        10.0, ge=0.1, le=3600, description="Over how long latency and errors are told, seconds."
    )
    gpus: bool = Field(True, description="Ask NVML for the load of GPUs, where there are any.")
