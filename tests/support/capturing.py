"""Shorthands for tests that run captures."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from secondlook.edge.capture.camera import CameraCapture, CapturedFrame
from secondlook.edge.capture.settings import CaptureSettings, Pacing
from secondlook.shared.clock import SystemClock
from support.faulty import FACTORY, faulty_path


def asap(**changes: object) -> CaptureSettings:
    """Settings of a recording played without loss, retrying quickly."""
    return settings(**{"pacing": Pacing.ASAP, **changes})


def settings(**changes: object) -> CaptureSettings:
    """Settings that retry quickly."""
    quick = {"backoff_initial_s": 0.01, "backoff_max_s": 0.05, "stall_timeout_s": 30.0}
    return CaptureSettings.model_validate({**quick, **changes})


@asynccontextmanager
async def capturing(
    url: str,
    chosen: CaptureSettings | None = None,
    *,
    camera: str = "gate",
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[CameraCapture]:
    """A running capture of a URL as a user would write it."""
    async with CameraCapture(
        camera, url, chosen or asap(), SystemClock(), registry or CollectorRegistry()
    ) as capture:
        yield capture


@asynccontextmanager
async def capturing_fault(
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    chosen: CaptureSettings | None = None,
    *,
    persistent: bool = False,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[CameraCapture]:
    """A running capture of a `support.faulty.FaultySource`; persistent: as a network camera."""
    monkeypatch.setenv("PYTHONPATH", faulty_path())
    url = f"{'rtsp' if persistent else 'sim'}://user:hunter2@faulty/?{query}"
    async with CameraCapture(
        "gate",
        url,
        chosen or asap(),
        SystemClock(),
        registry or CollectorRegistry(),
        factory=FACTORY,
    ) as capture:
        yield capture


async def sequences(capture: CameraCapture, count: int | None = None) -> list[int]:
    """Sequence numbers of the next ``count`` frames, or of all until the end."""
    return [captured.frame.ref.sequence for captured in await collect(capture, count)]


async def collect(capture: CameraCapture, count: int | None = None) -> list[CapturedFrame]:
    """The next ``count`` frames, or all until the end."""
    found: list[CapturedFrame] = []
    async for captured in capture.frames():
        found.append(captured)
        if len(found) == count:
            break
    return found


async def sequences_until(capture: CameraCapture, found: list[int]) -> None:
    """Append the sequence number of each frame to ``found``, until the end or an error."""
    async for captured in capture.frames():
        found += [captured.frame.ref.sequence]  # not at the end: an error must not lose them


def exists(process_id: int) -> bool:
    """Whether there is such a process, also a dead one that nobody has waited for."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
