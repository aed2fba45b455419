"""Rectangles on shelves."""

from __future__ import annotations

from secondlook.edge.regions import pack


def test_nothing_needs_nothing() -> None:
    packing = pack([])
    assert (packing.width, packing.height, packing.corners) == (0, 0, ())


def test_one_rectangle_is_the_picture() -> None:
    packing = pack([(100, 37)])
    assert (packing.width, packing.height, packing.corners) == (100, 37, ((0, 0),))


def test_corners_lie_on_the_grid() -> None:
    packing = pack([(50, 50), (30, 70), (90, 20), (17, 17)], 16)
    assert all(x % 16 == 0 and y % 16 == 0 for x, y in packing.corners)


def test_equal_squares_make_a_square_without_waste() -> None:
    packing = pack([(48, 48)] * 16)
    assert packing.width * packing.height == 16 * 48 * 48


def test_many_rectangles_waste_little() -> None:
    sizes = [(48 + 16 * (i % 5), 48 + 16 * (i % 3)) for i in range(30)]
    packing = pack(sizes)
    assert sum(w * h for w, h in sizes) > 0.8 * packing.width * packing.height
