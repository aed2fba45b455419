"""Class names of a camera."""

from __future__ import annotations

from support.edge import seen

from secondlook.edge.fusion import Vocabulary
from secondlook.edge.fusion.vocabulary import MAX_NAMES


def test_names_of_the_cloud_are_added_at_the_end() -> None:
    vocabulary = Vocabulary(("person", "car"))
    box = ((0, 0, 9, 9), 0.5)
    cloud = seen((*box, "tram"), (*box, "car"), names=("tram", "unused", "car"))
    translated = vocabulary.translate(cloud)
    assert vocabulary.names == ("person", "car", "tram")
    assert translated.class_names() == ["tram", "car"]
    assert translated.classes.tolist() == [2, 1]


def test_a_hostile_cloud_cannot_grow_it_without_end() -> None:
    vocabulary = Vocabulary(("car",))
    names = tuple(f"n{i}" for i in range(3 * MAX_NAMES))
    vocabulary.translate(seen(*(((0, 0, 9, 9), 0.5, name) for name in names), names=names))
    assert len(vocabulary.names) == MAX_NAMES
