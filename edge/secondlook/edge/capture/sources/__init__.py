"""Sources of frames, one module a library. Each is imported only when a URL needs it."""

from __future__ import annotations

from pathlib import Path

from secondlook.edge.capture.address import SourceAddress, SourceKind
from secondlook.edge.capture.protocol import FrameSource, SourceOptions
from secondlook.shared.errors import MissingDependency

__all__ = ["source_for"]


def source_for(url: str, options: SourceOptions | None = None) -> FrameSource:
    """The source that reads ``url``; not open yet.

    Decoders can take their process down, so use it in a capture process, not in the agent:
    `secondlook.edge.capture.camera.CameraCapture` and `secondlook.edge.capture.clip.read_clip` do.

    Raises:
        InvalidInput: the URL can never work; the message lists what is understood.
        MissingDependency: PyAV or imagesize is not installed.
    """
    address = SourceAddress.parse(url)
    chosen = options or SourceOptions()
    try:
        return _construct(address, chosen)
    except ImportError as error:
        raise MissingDependency(error.name or "a camera library", "edge") from error


def _construct(address: SourceAddress, options: SourceOptions) -> FrameSource:
    # Imported here: a capture process loads one decoder, not all of them.
    if address.kind is SourceKind.SIM:
        from secondlook.edge.capture.sources.simulated import SimSource

        return SimSource(address)
    folder = address.kind is SourceKind.FILE and Path(address.target).is_dir()
    if folder or address.kind is SourceKind.IMAGES:
        from secondlook.edge.capture.sources.images import ImageSource

        return ImageSource(address, options)
    if address.kind is SourceKind.V4L2:
        from secondlook.edge.capture.sources.device import V4l2Source

        return V4l2Source(address, options)
    if address.kind is SourceKind.GSTREAMER:
        from secondlook.edge.capture.sources.device import GStreamerSource

        return GStreamerSource(address, options)
    from secondlook.edge.capture.sources.video import VideoSource

    return VideoSource(address, options)
