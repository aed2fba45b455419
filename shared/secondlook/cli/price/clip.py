"""The frames of a clip, decoded in a process of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.edge.capture.camera import CameraCapture, CapturedFrame
from secondlook.edge.capture.settings import CaptureSettings, Overflow, Pacing
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import InvalidInput

ENDLESS_FRAMES = 300
"""How many frames of a source without an end are taken where the user names no number."""


@asynccontextmanager
async def open_clip(
    url: str, analysis_fps: float, max_frames: int | None, *, clip_fps: float = 0.0
) -> AsyncIterator[AsyncIterator[CapturedFrame]]:
    """The frames of ``url``, as fast as they are taken, none lost.

    Args:
        url: any source the edge can open.
        analysis_fps: frames a second of media time; 0.0 gives every frame.
        max_frames: stop after so many; ``None``: the whole clip.
        clip_fps: frames a second of a clip whose header lies; 0.0 trusts it.

    Raises:
        InvalidInput: the URL can never work, or ``max_frames`` is below 1.
        SourceError: (from the iterator) the clip cannot be opened or decoded.
    """
    if max_frames is not None and max_frames < 1:
        raise InvalidInput(f"max_frames is {max_frames}; at least 1 is expected")
    settings = CaptureSettings(
        analysis_fps=analysis_fps, pacing=Pacing.ASAP, overflow=Overflow.BLOCK, fps=clip_fps
    )
    # What a path is, a folder or a file, is looked up on disk.
    capture = await anyio.to_thread.run_sync(
        lambda: CameraCapture("clip", url, settings, SystemClock(), CollectorRegistry())
    )
    async with capture:
        yield _frames(capture, max_frames)


async def _frames(capture: CameraCapture, max_frames: int | None) -> AsyncIterator[CapturedFrame]:
    count = 0
    async for captured in capture.frames():
        yield captured
        count += 1
        if max_frames is None and capture.info is not None and capture.info.frames is None:
            max_frames = ENDLESS_FRAMES
        if max_frames is not None and count >= max_frames:
            return
