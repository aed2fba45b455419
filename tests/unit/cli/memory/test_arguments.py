"""What people type as durations, documents and paths of fields."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.cli.memory.arguments import MAX_TEXT_BYTES, document_from, duration
from secondlook.cli.memory.paths import parse_path, put_at, remove_at, shown
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.record import MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("30s", 30), ("1.5h", 5400), ("7d", 604_800), ("200ms", 0.2)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "1e3s", "٣s", "nan", "5mm"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected"):
        duration(text)


def test_a_document_is_text_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "note.json"
    file.write_text('{"n": 2}')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"n": 3}')))
    assert document_from('{"n": 1}') == {"n": 1}
    assert document_from(f"@{file}") == {"n": 2}
    assert document_from("-") == {"n": 3}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "is a JSON list"),
        ("{'n': 1}", "not JSON"),
        ('{"n": NaN}', "finite numbers only"),
        ('{"n": "\\ud800"}', "not valid UTF-8"),
        ('{"a":' * 100_000, "not JSON"),
        ('{"a":' * (MAX_DEPTH + 2) + "1" + "}" * (MAX_DEPTH + 2), "nested deeper"),
        ('{"a": "' + "x" * 65_536 + '"}', "bytes; at most"),
        ('{"a": "' + "x" * MAX_TEXT_BYTES + '"}', "has more than"),
        ('{"n": ' + "1" * 5000 + "}", "not JSON"),
        ("@/nowhere/at/all", "cannot be read"),
        ("@/", "cannot be read"),
    ],
)
def test_what_is_no_document_is_told_as_such(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        document_from(text)


def test_fields_are_set_and_removed_in_place() -> None:
    document = {"a": {"b": [1, {"c": 2}]}}
    put_at(document, parse_path("a.b[1].c"), 3)
    put_at(document, parse_path("a.b[2]"), "behind the end")
    put_at(document, parse_path("x.y.z"), True)
    remove_at(document, parse_path("a.b[0]"))
    assert document == {"a": {"b": [{"c": 3}, "behind the end"]}, "x": {"y": {"z": True}}}


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "[0]", "a[b]", "a[-1]", "a[", "a]"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no path"):
        parse_path(text)


@pytest.mark.parametrize("path", ["a.b", "a[0]", "n[2]", "n.x", "n[0].x", "new[0].x"])
def test_a_path_into_what_is_not_there_is_refused(path: str) -> None:
    before = {"a": 1, "n": [5]}
    with pytest.raises(InvalidInput):
        put_at(dict(before), parse_path(path), 0)
    with pytest.raises(InvalidInput):
        remove_at(dict(before), parse_path(path))


@given(
    st.lists(
        st.one_of(st.integers(0, 999_999), st.from_regex(r"[^.\[\]]+", fullmatch=True)),
        min_size=1,
    ).filter(lambda steps: isinstance(steps[0], str))
)
def test_a_path_is_read_as_it_is_written(steps: list[str | int]) -> None:
    assert parse_path(shown(tuple(steps))) == tuple(steps)
