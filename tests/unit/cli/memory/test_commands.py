"""``secondlook memory`` as people use it: output, messages, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.cli.config.command import _strangers
from secondlook.cli.main import run
from secondlook.cli.memory.target import DEFAULT_FILE, VARIABLE, writer_name
from secondlook.cloud.settings import MemorySettings
from secondlook.shared.memory.kinds import ModelPin, context_id

Memory = Callable[..., tuple[int, str, str]]
Put = Callable[..., dict[str, Any]]

NOTE = "yard/gate/note/1"
PIN = context_id("yard/gate", ModelPin, "edge")


@pytest.mark.parametrize(
    "name", ["get", "put", "edit", "delete", "changes", "watch", "stats", "export", "import"]
)
def test_each_command_shows_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["memory", name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"secondlook memory {name}" in shown
    assert "--store" in shown
    assert "--json" in shown


def test_a_record_from_its_first_save_to_its_deletion(memory: Memory) -> None:
    code, out, _ = memory("put", NOTE, '{"text": "new lamp"}', "--writer", "me")
    assert (code, out) == (0, f"{NOTE}: saved as version 1\n")
    code, out, _ = memory("get", NOTE)
    assert code == 0
    assert '"text": "new lamp"' in out
    assert "version  1" in out
    code, out, _ = memory("get", NOTE, "--json")
    found = json.loads(out)
    assert (found["version"], found["data"], found["writer"]) == (1, {"text": "new lamp"}, "me")
    assert found["deleted"] is False
    assert found["expires_at"] is None
    code, out, _ = memory("delete", NOTE, "--expect", "1", "--json")
    assert code == 0
    assert json.loads(out)["deleted"] is True
    code, _, err = memory("get", NOTE)
    assert (code, err) == (1, f"error: {NOTE}: no such record\n")
    assert memory("delete", NOTE, "--any-version")[0] == 1
    assert memory("put", NOTE, "{}")[1] == f"{NOTE}: saved as version 3\n"


def test_a_save_states_what_it_has_seen(memory: Memory, put: Put) -> None:
    put(NOTE, {"n": 1})
    code, _, err = memory("put", NOTE, '{"n": 2}')
    assert code == 1
    assert "expected version 0, found 1" in err
    assert "--expect 1" in err
    assert memory("put", NOTE, '{"n": 2}', "--expect", "9")[0] == 1
    assert put(NOTE, {"n": 2}, "--expect", "1")["version"] == 2
    assert put(NOTE, {"n": 3}, "--any-version")["version"] == 3
    assert put("yard/gate/note/2", {"n": 3}, "--any-version")["version"] == 1
    code, _, err = memory("put", "yard/gate/note/9", "{}", "--expect", "4")
    assert code == 1
    assert "nothing stands: leave --expect away" in err
    assert memory("delete", NOTE, "--expect", "1")[0] == 1
    assert memory("delete", NOTE, "--any-version")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["put", NOTE, "{"], "not JSON"),
        (["put", NOTE, "@nowhere.json"], "cannot be read"),
        (["put", "../x", "{}"], "'..' segment"),
        (["put", "a\x07b", "{}"], "not printable"),
        (["put", "x" * 10_000, "{}"], "10000 bytes"),
        (["put", NOTE, "{}", "--ttl", "soon"], "no duration"),
        (["put", NOTE, "{}", "--ttl", "99999d"], "ttl_s is"),
        (["put", NOTE, "{}", "--writer", "a\x1bb"], "writer must be"),
        (["put", NOTE, "{}", "--expect", "1", "--any-version"], "exclude each other"),
        (["put", NOTE, "{}", "--expect", "-1"], "--expect"),
        (["delete", NOTE], "--expect VERSION"),
        (["changes", "--limit", "1001"], "--limit"),
        (["get"], "ID"),
        (["edit", NOTE, "--set", "a"], "PATH=JSON expected"),
        (["edit", NOTE, "--set", "a=text"], "text is written with its quotes"),
        (["import", "nowhere.jsonl"], "cannot be read"),
        (["import", "."], "cannot be read"),
        (["export", "no/such/folder.jsonl"], "create the folder first"),
        (["export", "-", "--json"], "leave --json away"),
        (["get", NOTE, "--store", "mysql://x"], "is not a store"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(
    arguments: list[str], told: str, memory: Memory, put: Put
) -> None:
    put("yard/gate/other/1", {})
    code, _, err = memory(*arguments)
    assert code == 2, err
    assert told in err
    assert "Traceback" not in err
    assert json.loads(memory("changes", "--json")[1])["cursor"] == "1"


def test_known_kinds_are_checked_unless_raw(memory: Memory) -> None:
    wrong = '{"schema": 1, "model": "street"}'
    code, _, err = memory("put", PIN, wrong)
    assert code == 2
    assert "model: version" in err
    assert memory("put", PIN, wrong, "--raw")[0] == 0
    assert memory("edit", PIN, "--set", 'version="7"')[0] == 2
    assert memory("edit", PIN, "--set", 'version="7"', "--raw")[0] == 0


def test_a_time_to_live_is_shown_and_kept_by_an_edit(memory: Memory, put: Put) -> None:
    saved = put(NOTE, {"n": 1}, "--ttl", "2h")
    assert saved["expires_at"] - saved["updated_at"] == pytest.approx(7200, abs=1)
    code, out, _ = memory("edit", NOTE, "--set", "n=2", "--json")
    assert code == 0
    assert json.loads(out)["expires_at"] == pytest.approx(saved["expires_at"], abs=60)


def test_changes_go_on_from_their_cursor(memory: Memory, put: Put) -> None:
    for number in range(3):
        put(f"yard/gate/note/{number}", {"n": number})
    memory("delete", "yard/gate/note/0", "--any-version")
    page = json.loads(memory("changes", "--limit", "2", "--json")[1])
    assert [r["id"][-1] for r in page["records"]] == ["1", "2"]
    assert page["more"] is True
    page = json.loads(memory("changes", "--since", str(page["cursor"]), "--json")[1])
    assert [(r["id"][-1], r["deleted"]) for r in page["records"]] == [("0", True)]
    assert page["more"] is False
    code, out, err = memory("changes", "yard/gate/note/2")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert err == "cursor 4: go on with --since 4\n"


def test_changes_are_gathered_from_many_pages(memory: Memory, put: Put) -> None:
    """Under a prefix a store looks through so many changes of others and ends its page."""
    put("yard/gate/note/1", {})
    lines = [{"format": "secondlook-memory", "version": 1, "id": "x", "records": 5000}]
    lines += [{"id": f"roof/c/note/{n}", "data": {}} for n in range(5000)]
    Path("many.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert memory("import", "many.jsonl")[0] == 0
    put("yard/gate/note/2", {})
    page = json.loads(memory("changes", "yard/", "--json")[1])
    assert [r["id"] for r in page["records"]] == ["yard/gate/note/1", "yard/gate/note/2"]
    assert (page["cursor"], page["more"]) == ("5002", False)


def test_a_watch_follows_and_says_where_to_go_on(memory: Memory, put: Put) -> None:
    put(NOTE, {"n": 1})
    put("yard/lane/note/1", {"n": 2})
    code, out, err = memory("watch", "yard/lane/", "--count", "1", "--json")
    assert code == 0
    assert [json.loads(line)["data"] for line in out.splitlines()] == [{"n": 2}]
    assert err == "resume with --since 2\n"


def test_what_people_are_shown_cannot_steer_their_terminal(memory: Memory, put: Put) -> None:
    put(NOTE, {"text": "\x1b[2J\x9b2J\u202e"})
    for arguments in (
        ["get", NOTE],
        ["changes"],
        ["watch", "--count", "1"],
        ["get", NOTE, "--json"],
    ):
        out = memory(*arguments)[1]
        assert not {"\x1b", "\x9b", "\u202e"} & set(out)
        assert "\\u009b2J\\u202e" in out


def test_stats_count_by_site_camera_and_kind(memory: Memory, put: Put) -> None:
    put(NOTE, {"n": 1})
    put("yard/lane/note/1", {"text": "x" * 100})
    put("roof/lane/mark/1", {})
    put("short", {})
    memory("delete", NOTE, "--any-version")
    found = json.loads(memory("stats", "--json")[1])
    assert (found["live"], found["tombstones"], found["cursor"]) == (3, 1, 5)
    assert found["data_bytes"] == 111 + 2 + 2
    assert {name: group["live"] for name, group in found["sites"].items()} == {
        "yard": 1,
        "roof": 1,
        "short": 1,
    }
    assert set(found["cameras"]) == {"yard/gate", "yard/lane", "roof/lane", "short/-"}
    assert found["kinds"]["note"]["tombstones"] == 1
    assert found["largest"][0] == {"id": "yard/lane/note/1", "data_bytes": 111}
    code, out, err = memory("stats", "yard/")
    assert (code, err) == (0, "")
    assert out.startswith("1 records, 1 tombstones, 111 bytes of data, cursor 5\n")
    assert "roof" not in out


def test_an_empty_memory_has_stats_too(memory: Memory, put: Put) -> None:
    put(NOTE, {})
    assert memory("stats", "nothing/")[:2] == (
        0,
        "0 records, 0 tombstones, 0 bytes of data, cursor 1\n",
    )


def test_export_and_import(memory: Memory, put: Put, tmp_path: Path) -> None:
    put(NOTE, {"n": 1})
    put("yard/gate/note/2", {"n": 2})
    assert memory("export", "all.jsonl.gz")[:2] == (0, "all.jsonl.gz: 2 records, cursor 2\n")
    code, out, err = memory("export", "-")
    assert (code, err) == (0, "-: 2 records, cursor 2\n")
    assert [json.loads(line)["id"] for line in out.splitlines()[1:]] == [NOTE, "yard/gate/note/2"]
    other = ("--store", "sqlite:///other.db")
    assert memory("import", "all.jsonl.gz", *other)[:2] == (0, "all.jsonl.gz: 2 created\n")
    assert memory("import", "all.jsonl.gz", *other)[:2] == (0, "all.jsonl.gz: 2 same\n")
    put(NOTE, {"n": "other"}, "--expect", "1", *other)
    (tmp_path / "plain.jsonl").write_text(out)
    code, out, err = memory("import", "plain.jsonl", *other)
    assert code == 1
    assert err.startswith("stopped after 1 of 2 lines\nerror: line 2: yard/gate/note/1: expected")
    code, out, err = memory("import", "plain.jsonl", *other, "--on-conflict", "merge", "--json")
    assert code == 1
    assert json.loads(out)["undecided"] == [{"line": 2, "id": NOTE, "field": "n"}]
    assert memory("import", "plain.jsonl", *other, "--on-conflict", "replace")[:2] == (
        0,
        "plain.jsonl: 1 replaced, 1 same\n",
    )


def test_a_store_must_be_named_or_be_where_the_cloud_puts_it(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MemorySettings().url == f"sqlite:///{DEFAULT_FILE}"
    monkeypatch.delenv(VARIABLE)
    code, _, err = memory("stats")
    assert code == 2
    assert VARIABLE in err
    assert "--store" in err
    assert memory("put", NOTE, "{}", "--store", f"sqlite:///{DEFAULT_FILE}")[0] == 0
    assert memory("get", NOTE)[0] == 0


def test_looking_does_not_make_a_file(memory: Memory, tmp_path: Path) -> None:
    for arguments in (["get", NOTE], ["stats"], ["delete", NOTE, "--expect", "1"], ["changes"]):
        code, _, err = memory(*arguments)
        assert code == 4
        assert "does not exist" in err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_memory_is_told_as_such(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "memory.db").write_bytes(b"not a database at all" * 100)
    code, _, err = memory("stats")
    assert code == 4
    assert "not a SQLite file" in err


def test_the_variable_is_no_typo_of_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sqlite:///x.db")
    assert _strangers() == []


def test_the_default_writer_is_one_that_a_store_takes(memory: Memory, put: Put) -> None:
    assert put(NOTE, {})["writer"] == writer_name()


def test_a_user_without_a_name_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid 12345")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("socket.gethostname", lambda: "ü" * 200 + "\x1b")
    name = writer_name()
    assert name.startswith("unknown@üü")
    assert len(name.encode()) <= 128
