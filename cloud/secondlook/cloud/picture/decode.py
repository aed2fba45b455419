"""Encoded bytes to pixels, through OpenCV, with its errors mapped."""

from __future__ import annotations

import cv2
import numpy as np

from secondlook.cloud.picture.header import read_size
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding
from secondlook.shared.values.frame import check_size

# Pixels as they were encoded: a camera's orientation tag must not turn the regions away.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode_image(data: bytes, encoding: ImageEncoding, max_pixels: int) -> Image:
    """The pixels of an encoded image, uint8 (h, w, 3) BGR.

    Blocking; releases the GIL while it decodes.

    Raises:
        InvalidInput: not an image of that encoding, cut short, larger than ``max_pixels`` (told
            from its header, before anything is allocated), or broken inside.
    """
    width, height = read_size(data, encoding)
    check_size(width, height)
    if width * height > max_pixels:
        raise InvalidInput(f"image is {width}x{height}; at most {max_pixels} pixels are accepted")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        raise InvalidInput(f"image is a {encoding.value} that cannot be decoded") from error
    if image is None or image.shape != (height, width, 3):
        raise InvalidInput(f"image is a {encoding.value} that cannot be decoded")
    return np.asarray(image, np.uint8)
