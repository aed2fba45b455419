"""The shelves of the verdict cache against a list that does the same slowly."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from secondlook.cloud.cache.shelves import Kept, Shelves
from secondlook.cloud.engine.asking import Detected, Ran
from secondlook.shared.values import Detections

NAMES = ("car",)
SHELF = st.tuples(st.sampled_from("ab"), st.sampled_from("12"))
CONTENT = st.integers(0, 5).map(lambda number: bytes([number]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), SHELF, CONTENT, st.integers(0, 60)),
        st.tuples(st.just("get"), SHELF, CONTENT),
        st.tuples(st.just("forget"), st.sampled_from("ab"), st.sampled_from(["", "1", "2"])),
    ),
    max_size=60,
)


def kept(shelf: tuple[str, str], boxes: int) -> Kept:
    found = Detections.of([[0, 0, 1, 1]] * boxes, [0.5] * boxes, [0] * boxes, NAMES)
    return Kept(Detected(found, Ran(*shelf)), 1)


@given(steps=STEPS, max_bytes=st.integers(0, 12_000))
def test_shelves_are_an_lru_in_bytes(steps: list[tuple[Any, ...]], max_bytes: int) -> None:
    shelves = Shelves(max_bytes)
    model: list[tuple[tuple[str, str], bytes, Kept]] = []
    for kind, *rest in steps:
        if kind == "put":
            shelf, content, boxes = rest
            entry = kept(shelf, boxes)
            shelves.put(content, entry)
            if entry.size > max_bytes:
                continue
            model = [one for one in model if one[:2] != (shelf, content)]
            model.append((shelf, content, entry))
            while sum(one[2].size for one in model) > max_bytes:
                model.pop(0)
        elif kind == "get":
            shelf, content = rest
            found = [one for one in model if one[:2] == (shelf, content)]
            assert shelves.get(shelf, content) is (found[0][2] if found else None)
            if found:
                model.remove(found[0])
                model.append(found[0])
        else:
            name, version = rest
            gone = [one for one in model if one[0][0] == name and version in ("", one[0][1])]
            assert shelves.forget(name, version) == len(gone)
            model = [one for one in model if one not in gone]
        assert len(shelves) == len(model)
        assert shelves.bytes == sum(one[2].size for one in model) <= max_bytes
        assert set(shelves.shelves()) == {one[0] for one in model}
        for shelf in shelves.shelves():
            assert {content for content, _ in shelves.on(shelf)} == {
                one[1] for one in model if one[0] == shelf
            }
