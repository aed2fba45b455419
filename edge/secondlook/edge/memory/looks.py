"""How a place looked, as a record keeps it and as the pipeline compares it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail, extent
from secondlook.shared.memory.kinds import Look


def cut(look: Thumbnail, box: npt.NDArray[np.float32], frame_width: int) -> Look:
    """The piece of a thumbnail that `appearance.difference` reads for a box.

    Args:
        look: thumbnail of a frame.
        box: float32 (4,), xyxy in pixels of the native frame.
        frame_width: width of the native frame, pixels.

    Raises:
        ValueError: the piece is larger than a record takes.
    """
    rows, columns = extent(look.shape, box, frame_width)
    piece = look[rows, columns]
    height, width = piece.shape
    whole = (look.shape[1], look.shape[0])
    return Look.cut(columns.start, rows.start, width, height, piece.tobytes(), whole)


def pasted(
    look: Look, like: Thumbnail, box: npt.NDArray[np.float32], frame_width: int
) -> Thumbnail | None:
    """A thumbnail with the piece in its place and black elsewhere.

    For `appearance.difference` at that box it is as good as the one the piece was cut from.

    Args:
        look: the piece.
        like: thumbnail of a frame of now.
        box: float32 (4,), the box that the piece was cut for.
        frame_width: width of the native frame, pixels.

    Returns:
        ``None`` where thumbnails of now have another size, or the piece is of another place.
    """
    if (look.thumbnail_height, look.thumbnail_width) != like.shape:
        return None
    rows, columns = extent(like.shape, box, frame_width)
    piece = (slice(look.top, look.top + look.height), slice(look.left, look.left + look.width))
    if piece != (rows, columns):
        return None
    whole = np.zeros(like.shape, np.uint8)
    whole[piece] = np.frombuffer(look.grey(), np.uint8).reshape(look.height, look.width)
    return whole
