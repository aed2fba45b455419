"""A folder of images, or one image, played like a clip."""

from __future__ import annotations

import logging
import re
import struct
from pathlib import Path

import cv2
import imagesize
import numpy as np
import numpy.typing as npt

from secondlook.edge.capture.address import IMAGE_SUFFIXES, SourceAddress
from secondlook.edge.capture.protocol import SourceFrame, SourceInfo, SourceOptions
from secondlook.shared.errors import InvalidInput, SourceError
from secondlook.shared.values.frame import check_size

DEFAULT_FPS = 10.0
"""Images carry no time; this is how fast a folder plays where the settings do not say."""

_log = logging.getLogger(__name__)


class ImageSource:
    """Plays the images of a folder in the order of their names, 2 before 10.

    In a folder, an image that is corrupt or absurdly large is skipped with a warning; a single
    image that is so is an error. EXIF orientation is applied.
    """

    def __init__(self, address: SourceAddress, options: SourceOptions) -> None:
        self._address = address
        self._fps = options.fps or DEFAULT_FPS
        self._single = False
        self._paths: list[Path] = []
        self._next = 0
        self._grabbed = 0
        self._image: npt.NDArray[np.uint8] | None = None
        self._problem: str | None = None

    def open(self) -> SourceInfo:
        """See `FrameSource.open`. Sizes are known only from each image."""
        where = Path(self._address.target)
        try:
            self._single = not where.is_dir()
            found = [where] if self._single else list(where.iterdir())
            if self._single:
                where.stat()
        except OSError as error:
            raise SourceError(f"{self._address.shown}: {error.strerror or error}") from None
        self._paths = sorted(
            (p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()),
            key=_natural,
        )
        if not self._paths:
            raise SourceError(
                f"{self._address.shown}: no images in this folder",
                remedy=f"it must hold files named {' '.join(sorted(IMAGE_SUFFIXES))}",
            )
        return SourceInfo(0, 0, self._fps, len(self._paths), live=False, backend="images")

    def grab(self) -> float | None:
        """See `FrameSource.grab`. Decodes: only then is it known whether there is an image."""
        self._image = None
        while self._next < len(self._paths):
            path = self._paths[self._next]
            self._next += 1
            try:
                self._image = _decode(path)
            except InvalidInput as error:
                if self._single:
                    raise
                self._problem = str(error)
                _log.warning("skipped: %s", error)
                continue
            self._grabbed += 1
            return (self._grabbed - 1) / self._fps
        if not self._grabbed:
            raise SourceError(
                f"{self._address.shown}: none of {len(self._paths)} images can be read; "
                f"the last: {self._problem}"
            )
        return None

    def retrieve(self) -> SourceFrame:
        """See `FrameSource.retrieve`."""
        assert self._image is not None, "grab comes first"
        return SourceFrame(self._image)

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._image = None
        self._paths = []


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sorts digits by value: 2 before 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isascii() and p.isdigit() else (0, p) for p in parts], path.name


def _decode(path: Path) -> npt.NDArray[np.uint8]:
    """The image in ``path``; its size is read from the header before anything is allocated."""
    try:
        width, height = imagesize.get(path)
    except (OSError, ValueError, struct.error, IndexError, KeyError, OverflowError) as error:
        raise InvalidInput(f"{path}: not a readable image ({error})") from None
    if width < 1 or height < 1:
        raise InvalidInput(f"{path}: not a readable image (its header is broken or unknown)")
    check_size(int(width), int(height), str(path))
    try:
        decoded = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InvalidInput(f"{path}: cannot be decoded ({error.err})") from None
    if decoded is None:
        raise InvalidInput(f"{path}: cannot be decoded; truncated or not what its name says")
    image: npt.NDArray[np.uint8] = decoded  # type: ignore[assignment]  # IMREAD_COLOR is uint8 BGR
    check_size(image.shape[1], image.shape[0], str(path))
    return image
