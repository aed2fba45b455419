"""A recording as plain iteration, for tools that are not asynchronous."""

from __future__ import annotations

from collections.abc import Iterator

from anyio.from_thread import start_blocking_portal
from prometheus_client import CollectorRegistry

from secondlook.edge.capture.camera import CameraCapture, CapturedFrame
from secondlook.edge.capture.settings import CaptureSettings, Overflow, Pacing
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import InvalidInput


def read_clip(
    url: str,
    analysis_fps: float = 0.0,
    max_frames: int | None = None,
    settings: CaptureSettings | None = None,
) -> Iterator[CapturedFrame]:
    """The frames of a recording, as fast as they are consumed, without loss.

    Decoding happens in a capture process, so a malformed clip ends in an error, not in a crash;
    what is wrong shows at the first ``next``.

    Args:
        url: a file, a folder of images, ``sim://street?...``.
        analysis_fps: frames a second of media time; 0.0 gives every frame.
        max_frames: stop after so many; ``None`` reads to the end.
        settings: everything else; its rate, pacing and overflow policy are replaced.

    Raises:
        InvalidInput: the URL can never work, or ``max_frames`` is below 1.
        SourceError: the recording cannot be opened, or its decoder keeps dying.
    """
    if max_frames is not None and max_frames < 1:
        raise InvalidInput(f"max_frames is {max_frames}; at least 1 is expected")
    chosen = CaptureSettings(
        **{
            **(settings or CaptureSettings()).model_dump(),
            "analysis_fps": analysis_fps,
            "pacing": Pacing.ASAP,
            "overflow": Overflow.BLOCK,
        }
    )
    capture = CameraCapture("clip", url, chosen, SystemClock(), CollectorRegistry())
    return _read(capture, max_frames)


def _read(capture: CameraCapture, max_frames: int | None) -> Iterator[CapturedFrame]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(capture):
        frames = capture.frames()
        count = 0
        while max_frames is None or count < max_frames:
            captured = portal.call(anext, frames, None)
            if captured is None:
                return
            yield captured
            count += 1
