"""What a camera URL means, and how to show it without its password."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from secondlook.shared.errors import InvalidInput
from secondlook.shared.redaction import redact


class SourceKind(str, Enum):
    """What reads a URL."""

    FILE = "file"
    """A path: a video, or a folder of images, which only the capture process looks up."""

    IMAGES = "images"
    """A path whose name is an image's."""

    NETWORK = "network"
    V4L2 = "v4l2"
    GSTREAMER = "gstreamer"
    SIM = "sim"

    @property
    def persistent(self) -> bool:
        """Whether such a source is expected to come back, so that it is worth reconnecting."""
        return self in (SourceKind.NETWORK, SourceKind.V4L2, SourceKind.GSTREAMER)


UNDERSTOOD = (
    "a path or file:// of a video or of a folder of images, rtsp[s]://, rtmp[s]://, http[s]://, "
    "v4l2:///dev/video0, gst://PIPELINE, sim://street?..."
)
"""For error messages and help texts."""

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm"}
)

_NETWORK_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https"})


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """A camera URL, understood.

    Attributes:
        url: as given; may hold a password, so it is never shown.
        kind: what reads it.
        target: what its reader wants: a path, a device, a pipeline, or the URL itself.
    """

    url: str
    kind: SourceKind
    target: str

    @classmethod
    def parse(cls, url: str) -> SourceAddress:
        """Understand ``url``. Never touches the disk, so an event loop may call it.

        Raises:
            InvalidInput: the scheme is unknown, or the URL lacks what its scheme needs.
        """
        if not url.strip() or "\0" in url:
            raise InvalidInput("the source URL is empty", remedy=f"expected {UNDERSTOOD}")
        scheme, separator, rest = url.partition("://")
        if not separator:
            return cls._of_path(url, url)
        scheme = scheme.lower()
        if scheme == "file":
            return cls._of_path(url, unquote(rest.removeprefix("localhost")))
        if scheme in _NETWORK_SCHEMES:
            return cls(url, SourceKind.NETWORK, _checked_network(url))
        if scheme == "v4l2":
            if not rest.startswith("/dev/"):
                raise InvalidInput(f"{url}: expected a device, as in v4l2:///dev/video0")
            return cls(url, SourceKind.V4L2, rest)
        if scheme == "gst":
            if not rest.strip():
                raise InvalidInput("gst:// without a pipeline", remedy="gst://PIPELINE ! appsink")
            return cls(url, SourceKind.GSTREAMER, rest)
        if scheme == "sim":
            return cls(url, SourceKind.SIM, url)
        raise InvalidInput(
            f"{redact(url)}: unknown scheme {scheme}://", remedy=f"expected {UNDERSTOOD}"
        )

    @classmethod
    def _of_path(cls, url: str, path: str) -> SourceAddress:
        if path.startswith("/dev/video"):
            return cls(url, SourceKind.V4L2, path)
        if PurePath(path).suffix.lower() in IMAGE_SUFFIXES:
            return cls(url, SourceKind.IMAGES, path)
        return cls(url, SourceKind.FILE, path)

    @property
    def shown(self) -> str:
        """The URL without its password, for logs and errors."""
        return redact(self.url)

    def scrub(self, text: str) -> str:
        """``text`` of a library or a decoder without this URL's password, however it is written."""
        try:
            password = urlsplit(self.url).password
        except ValueError:
            password = None
        if password:
            for secret in sorted({password, unquote(password)}, key=len, reverse=True):
                text = text.replace(secret, "***")
        return redact(text)


def _checked_network(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # What urllib says may quote a part of the password.
        raise InvalidInput(
            f"{redact(url)}: host or port is malformed",
            remedy="percent-encode user and password; the port is 0 to 65535",
        ) from None
    if not parts.hostname:
        raise InvalidInput(f"{redact(url)}: no host", remedy="rtsp://user:password@host:554/path")
    return url
