"""Rectangles on shelves: tallest first, left to right, a new shelf when one is full. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the rectangles lie.

    Attributes:
        width, height: size of the picture that holds them all, pixels.
        corners: top-left corner of each rectangle, in the order they were given.
    """

    width: int
    height: int
    corners: tuple[tuple[int, int], ...]


def pack(sizes: Sequence[tuple[int, int]], grid_px: int = 16) -> Packing:
    """Place rectangles without overlap in a picture that is about square.

    Args:
        sizes: width and height of each, pixels, at least 1.
        grid_px: corners lie on this grid, so that no codec block holds two rectangles.
    """
    if not sizes:
        return Packing(0, 0, ())
    cells = [(_up(width, grid_px), _up(height, grid_px)) for width, height in sizes]
    widest = max(width for width, _ in cells)
    # Several widths are tried: a bad one wastes a third of the picture, and a try costs nothing.
    square = _up(math.ceil(math.sqrt(sum(w * h for w, h in cells))), grid_px)
    limits = {max(widest, _up(round(square * factor), grid_px)) for factor in (0.8, 1.0, 1.25, 1.6)}
    return min(
        (_shelve(sizes, cells, limit) for limit in sorted(limits)),
        key=lambda packing: packing.width * packing.height,
    )


def _shelve(
    sizes: Sequence[tuple[int, int]], cells: Sequence[tuple[int, int]], limit: int
) -> Packing:
    order = sorted(range(len(cells)), key=lambda i: (-cells[i][1], -cells[i][0], i))
    corners: list[tuple[int, int]] = [(0, 0)] * len(cells)
    x = y = shelf = width = height = 0
    for i in order:
        cell_width, cell_height = cells[i]
        if x and x + cell_width > limit:
            x, y = 0, y + shelf
            shelf = 0
        corners[i] = (x, y)
        x += cell_width
        shelf = max(shelf, cell_height)
        width = max(width, corners[i][0] + sizes[i][0])
        height = max(height, y + sizes[i][1])
    return Packing(width, height, tuple(corners))


def _up(value: int, grid: int) -> int:
    return -(-value // grid) * grid
