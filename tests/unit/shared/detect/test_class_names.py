"""Class lists from text that anyone may have written."""

from __future__ import annotations

import pytest

from secondlook.shared.detect.class_names import (
    COCO,
    MAX_CLASSES,
    MAX_NAME_CHARS,
    check_names,
    parse_names,
)
from secondlook.shared.errors import InvalidModel


@pytest.mark.parametrize(
    "text",
    [
        "{0: 'person', 1: 'it\\'s'}",
        '{1: "it\'s", 0: "person"}',
        '["person", "it\'s"]',
        "('person', \"it's\",)",
        " [ 'person' , \"it's\" ] \n",
    ],
)
def test_the_usual_spellings(text: str) -> None:
    assert parse_names(text, "metadata") == ("person", "it's")


def test_coco_by_name() -> None:
    assert parse_names("COCO", "x") == COCO
    assert len(COCO) == 80
    assert (COCO[0], COCO[2], COCO[39], COCO[79]) == ("person", "car", "bottle", "toothbrush")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "person",
        "{}",
        "[]",
        "{'a': 'b'}",
        "{0: 'a', 2: 'b'}",
        "{0: 'a', 0: 'b', 1: 'c', 3: 'd'}",
        "{0: 1}",
        "[1, 2]",
        "['a', ['b']]",
        "['a' 'b'",
        "['']",
        "['  ']",
        "['a', 'a']",
        "['a\\nb']",
        "['\\x1b[31mred']",
        "__import__('os').system('true')",
        "[__import__('os')]",
        "['a'] * 1000000000",
        "{0: 'a'} | {1: 'b'}",
        "[f'{1}']",
        "[" * 100_000,
        "-" * 100_000 + "1",
        "['a'," + " " * 500_000,
        "[" + "'a'," * 400_000 + "]",
        "['" + "a" * (MAX_NAME_CHARS + 1) + "']",
        "['\\N{NOT A CHARACTER}']",
        "\0",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidModel, match=r"^the file"):
        parse_names(text, "the file")


def test_a_list_longer_than_any_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidModel, match=str(MAX_CLASSES)):
        check_names((str(i) for i in range(MAX_CLASSES + 1)), "x")


def test_a_double_name_is_told_with_both_places() -> None:
    with pytest.raises(InvalidModel, match="classes 0 and 2 are both 'a'"):
        check_names(["a", "b", "a"], "x")
