"""The frames of a clip, decoded in a process of their own."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.edge.capture.camera import CameraCapture, CapturedFrame
from secondlook.edge.capture.protocol import SourceInfo
from secondlook.edge.capture.settings import CaptureSettings, Overflow, Pacing
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import InvalidInput

ENDLESS_FRAMES = 300
"""How many frames of a source without an end are taken where the user names no number."""


@asynccontextmanager
async def open_clip(
    url: str,
    analysis_fps: float,
    max_frames: int | None,
    *,
    clip_fps: float = 0.0,
    on_total: Callable[[int], None] | None = None,
) -> AsyncIterator[AsyncIterator[CapturedFrame]]:
    """The frames of ``url``, as fast as they are taken, none lost.

    Args:
        url: any source the edge can open.
        analysis_fps: frames a second of media time; 0.0 gives every frame.
        max_frames: stop after so many; ``None``: the whole clip.
        clip_fps: frames a second of a clip whose header lies; 0.0 trusts it.
        on_total: told how many frames there are going to be, as far as the header is right; not
            called where it does not say.

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
        yield _frames(capture, max_frames, analysis_fps, on_total)


async def _frames(
    capture: CameraCapture,
    max_frames: int | None,
    analysis_fps: float,
    on_total: Callable[[int], None] | None,
) -> AsyncIterator[CapturedFrame]:
    count = 0
    async for captured in capture.frames():
        info = capture.info
        if max_frames is None and info is not None and info.frames is None:
            max_frames = ENDLESS_FRAMES
        if not count and on_total is not None:
            total = expected_frames(info, analysis_fps)
            known = [n for n in (total, max_frames) if n is not None]
            if known:
                on_total(min(known))
        yield captured
        count += 1
        if max_frames is not None and count >= max_frames:
            return


def expected_frames(info: SourceInfo | None, analysis_fps: float) -> int | None:
    """How many frames of a clip are analysed, as far as its header tells."""
    if info is None or info.frames is None:
        return None
    if not analysis_fps or info.fps <= analysis_fps:
        return info.frames
    return math.ceil(info.frames * analysis_fps / info.fps)
