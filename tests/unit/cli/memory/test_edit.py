"""``secondlook memory edit``: the editor, other writers meanwhile, texts that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

Memory = Callable[..., tuple[int, str, str]]
Put = Callable[..., dict[str, Any]]
Editor = Callable[[Callable[[str], str]], None]

NOTE = "yard/gate/note/1"


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Says what the user's editor makes of the text."""

    def use(change: Callable[[str], str]) -> None:
        def edit(*, filename: str) -> None:
            path = Path(filename)
            path.write_text(change(path.read_text()))

        monkeypatch.setattr(click, "edit", edit)

    return use


def kept(err: str) -> Path:
    (line,) = (line for line in err.splitlines() if line.startswith("your text is kept in "))
    return Path(line.removeprefix("your text is kept in "))


def data(memory: Memory) -> Any:
    return json.loads(memory("get", NOTE, "--json")[1])["data"]


def test_what_the_editor_saves_is_saved(memory: Memory, put: Put, editor: Editor) -> None:
    put(NOTE, {"text": "grüße", "n": 1})
    seen = []

    def change(text: str) -> str:
        seen.append(text)
        return text.replace("1", "2")

    editor(change)
    assert memory("edit", NOTE)[:2] == (0, f"{NOTE}: saved as version 2\n")
    assert seen == ['{\n  "n": 1,\n  "text": "grüße"\n}\n']
    assert data(memory) == {"text": "grüße", "n": 2}


def test_nothing_changed_is_nothing_saved(memory: Memory, put: Put, editor: Editor) -> None:
    put(NOTE, {"n": 1})
    editor(lambda text: text.replace(" ", ""))
    assert memory("edit", NOTE) == (0, "", f"{NOTE}: nothing changed\n")


def test_what_others_wrote_meanwhile_is_merged(memory: Memory, put: Put, editor: Editor) -> None:
    put(NOTE, {"a": 1, "b": 1})

    def change(text: str) -> str:
        put(NOTE, {"a": 1, "b": 2, "c": 3}, "--expect", "1")
        return text.replace('"a": 1', '"a": 5')

    editor(change)
    assert memory("edit", NOTE)[0] == 0
    assert data(memory) == {"a": 5, "b": 2, "c": 3}


def test_a_field_changed_on_both_sides_shows_both_and_keeps_the_text(
    memory: Memory, put: Put, editor: Editor
) -> None:
    put(NOTE, {"text": "old"})

    def change(text: str) -> str:
        put(NOTE, {"text": "theirs"}, "--expect", "1")
        return text.replace("old", "mine")

    editor(change)
    code, _, err = memory("edit", NOTE)
    assert code == 1
    assert 'before  "old"' in err
    assert 'yours   "mine"' in err
    assert 'theirs  "theirs"' in err
    file = kept(err)
    assert json.loads(file.read_text()) == {"text": "mine"}
    assert data(memory) == {"text": "theirs"}
    file.unlink()


def test_a_record_that_was_deleted_meanwhile_does_not_come_back(
    memory: Memory, put: Put, editor: Editor
) -> None:
    put(NOTE, {"text": "old"})

    def change(text: str) -> str:
        memory("delete", NOTE, "--expect", "1")
        return text.replace("old", "mine")

    editor(change)
    code, _, err = memory("edit", NOTE)
    assert code == 1
    assert "deleted by another writer meanwhile" in err
    kept(err).unlink()
    assert memory("get", NOTE)[0] == 1


@pytest.mark.parametrize("text", ["{", "", "[1]", '{"n": NaN}', '{"a": "' + "x" * 70_000 + '"}'])
def test_a_text_that_is_no_document_is_kept(
    text: str, memory: Memory, put: Put, editor: Editor
) -> None:
    put(NOTE, {"n": 1})
    editor(lambda _: text)
    code, _, err = memory("edit", NOTE)
    assert code == 2
    file = kept(err)
    assert file.read_text() == text
    file.unlink()
    assert data(memory) == {"n": 1}


def test_an_editor_that_cannot_be_started_is_told(
    memory: Memory, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(NOTE, {"n": 1})
    monkeypatch.setenv("VISUAL", "/nowhere/editor")
    code, _, err = memory("edit", NOTE)
    assert code == 2
    assert "/nowhere/editor" in err
    kept(err).unlink()


def test_fields_are_changed_without_an_editor(memory: Memory, put: Put) -> None:
    put(NOTE, {"list": [1, 2], "gone": True})
    arguments = ("--set", "list[2]=3", "--set", 'a.b="x=y"', "--unset", "gone")
    assert memory("edit", NOTE, *arguments)[0] == 0
    assert data(memory) == {"list": [1, 2, 3], "a": {"b": "x=y"}}
    code, _, err = memory("edit", NOTE, "--unset", "gone")
    assert code == 2
    assert "gone: there is no 'gone' in the record" in err


def test_what_does_not_stand_cannot_be_edited(memory: Memory, put: Put) -> None:
    put("yard/gate/note/2", {})
    assert memory("edit", NOTE, "--set", "n=1")[0] == 1
