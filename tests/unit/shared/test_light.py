from __future__ import annotations

import pytest

from secondlook.shared.light import light


@light
class Point:
    x: int
    y: int = 2


def test_it_is_a_value() -> None:
    assert Point(1) == Point(1, 2) != Point(1, 3)
    assert hash(Point(1)) == hash(Point(1, 2))
    assert repr(Point(1)) == "Point(x=1, y=2)"


def test_it_holds_nothing_else() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]
