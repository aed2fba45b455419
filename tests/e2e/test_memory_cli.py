"""``secondlook memory``, the real command, on a SQLite file, a Redis and a cloud over gRPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.cloud import cloud_process
from support.redis import free_port, redis_server, until

from secondlook.cli.main import run
from secondlook.cli.memory.target import VARIABLE

RECORDS = 2000


class Memory:
    """The command on one store, in a folder: in this process, or in one of its own."""

    def __init__(self, url: str, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self._folder = folder
        self._capture = capture

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "secondlook.cli", "memory", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            env={**os.environ, VARIABLE: self.url, **variables},
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._capture.readouterr()
        code = run(["memory", *arguments, "--store", self.url])
        shown = self._capture.readouterr()
        return code, shown.out, shown.err

    def document(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(scope="module", params=["sqlite", "redis", "grpc"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield f"sqlite:///{folder}/memory.db"
    elif request.param == "redis":
        with redis_server() as redis:
            yield redis.url
    else:
        with cloud_process(folder, "--port", "0") as cloud:
            yield f"grpc://127.0.0.1:{cloud.port}"


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[str], Memory]:
    monkeypatch.chdir(tmp_path)
    return lambda url: Memory(url, tmp_path, capfd)


@pytest.fixture
def memory(make: Callable[[str], Memory], url: str) -> Memory:
    """Tests share a store, and each has a site of its own in it."""
    return make(url)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An export of many records."""
    file = tmp_path / "many.jsonl"
    header = {
        "format": "secondlook-memory",
        "version": 1,
        "id": "f00d",
        "prefix": "many/",
        "records": RECORDS,
    }
    lines = [header]
    lines += [{"id": f"many/c{n % 7}/note/{n}", "data": {"n": n}} for n in range(RECORDS)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_a_record_through_its_life(memory: Memory, tmp_path: Path) -> None:
    note, gate = "life/gate/note/1", "life/gate/gate/state"
    code, out, _ = memory.run("put", note, '{"text": "new lamp", "n": 1}', "--ttl", "2h")
    assert (code, out.partition(",")[0]) == (0, f"{note}: saved as version 1")
    code, _, err = memory.run("put", note, "{}")
    assert code == 1
    assert err.startswith(f"error: {note}: expected version 0, found 1")

    # An editor that is a real program; meanwhile somebody else changes another field.
    program = tmp_path / "editor.py"
    program.write_text(
        "import pathlib, subprocess, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "file.write_text(file.read_text().replace('new lamp', 'old lamp'))\n"
        f"edit = ['memory', 'edit', {note!r}, '--set', 'n=2']\n"
        "subprocess.run([sys.executable, '-m', 'secondlook.cli', *edit], check=True)\n"
    )
    wrapper = tmp_path / "editor.sh"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$1"\n')
    wrapper.chmod(0o755)
    edit = memory.start("edit", note, EDITOR=str(wrapper), VISUAL="")
    _, err = edit.communicate(timeout=60)
    assert edit.returncode == 0, err
    record = memory.document("get", note)
    assert record["data"] == {"text": "old lamp", "n": 2}
    assert record["version"] == 3
    assert record["expires_at"] - record["updated_at"] == pytest.approx(7200, abs=300)

    code, _, err = memory.run("put", gate, '{"schema": 1, "asked": -1}')
    assert code == 2
    assert "gate: asked" in err
    memory.document("put", gate, '{"schema": 1, "asked": 3}')
    stats = memory.document("stats", "life/")
    assert (stats["live"], stats["tombstones"]) == (2, 0)
    assert set(stats["kinds"]) == {"gate", "note"}

    cursor = memory.document("changes", "life/")["cursor"]
    tombstone = memory.document("delete", note, "--expect", "3")
    assert (tombstone["deleted"], tombstone["version"]) == (True, 4)
    (changed,) = memory.document("changes", "life/", "--since", str(cursor))["records"]
    assert (changed["id"], changed["deleted"]) == (note, True)
    assert memory.run("get", note)[0] == 1


def test_a_watch_ends_with_ctrl_c_and_goes_on_from_there(memory: Memory) -> None:
    note = "watched/gate/note/1"
    memory.document("put", note, '{"n": 1}')
    watch = memory.start("watch", "watched/", "--json")
    assert watch.stdout is not None
    first = json.loads(watch.stdout.readline())
    assert first["data"] == {"n": 1}
    memory.document("put", note, '{"n": 2}', "--expect", "1")
    memory.document("put", "other/gate/note/1", "{}")
    assert json.loads(watch.stdout.readline())["data"] == {"n": 2}
    watch.send_signal(signal.SIGINT)
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    cursor = err.removeprefix("resume with --since ").strip()
    memory.document("put", note, '{"n": 3}', "--expect", "2")
    code, out, _ = memory.run("watch", "watched/", "--since", cursor, "--count", "1", "--json")
    assert code == 0
    assert json.loads(out)["data"] == {"n": 3}


def test_an_import_that_is_killed_goes_on_where_it_was(memory: Memory, exported: Path) -> None:
    memory.document("put", "many/c0/note/0", '{"n": "mine"}')
    killed = memory.start("import", str(exported), "--on-conflict", "replace")
    until(
        lambda: (
            len(memory.document("changes", "many/", "--limit", "2")["records"]) == 2
            or killed.poll() is not None
        ),
        lambda: "the import wrote nothing",
    )
    killed.kill()
    killed.communicate()
    report = memory.document("import", str(exported), "--on-conflict", "replace")
    assert report["lines"] == RECORDS
    report = memory.document("import", str(exported), "--on-conflict", "replace")
    assert report["same"] == RECORDS

    # Every line was written once: version 1, but for the one that stood before.
    code, out, err = memory.run("export", "-", "--prefix", "many/")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()[1:]]
    assert len(lines) == RECORDS
    for line in lines:
        number = int(line["id"].rpartition("/")[2])
        assert line["data"] == {"n": number}
        assert line["version"] == (2 if number == 0 else 1)


def test_what_one_memory_exports_another_takes(
    memory: Memory, make: Callable[[str], Memory]
) -> None:
    for number in range(3):
        memory.document("put", f"copied/gate/note/{number}", f'{{"text": "grüße {number}"}}')
    memory.document("delete", "copied/gate/note/0", "--any-version")
    header = memory.document("export", "all.jsonl.gz", "--prefix", "copied/")
    assert header["records"] == 3
    copy = make("sqlite:///copy.db")
    report = copy.document("import", "all.jsonl.gz")
    assert (report["created"], report["same"]) == (2, 1)
    assert memory.document("import", "all.jsonl.gz")["same"] == 3
    found = copy.document("changes")["records"]
    assert [record["data"] for record in found] == [{"text": "grüße 1"}, {"text": "grüße 2"}]
    memory.document("put", "copied/gate/note/9", "{}")
    cursor = str(header["cursor"])
    later = memory.document("export", "later.jsonl", "--prefix", "copied/", "--since", cursor)
    assert later["records"] == 1


@pytest.mark.parametrize("scheme", ["grpc", "redis"])
def test_a_memory_that_is_away_is_told_at_once(
    scheme: str, make: Callable[[str], Memory], tmp_path: Path
) -> None:
    memory = make(f"{scheme}://127.0.0.1:{free_port()}")
    note = "yard/gate/note/1"
    for arguments in (["get", note], ["put", note, "{}"], ["watch"], ["export", "x.jsonl"]):
        code, out, err = memory.run(*arguments)
        assert code == 4, err
        assert out == ""
        assert "error: " in err
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_the_certificate_decides_what_a_device_may_see(
    make: Callable[[str], Memory], tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name, identity in (("cloud", "localhost"), ("gate", "edge-gate"), ("admin", "admin")):
        certificate = authority.issue_cert(identity)
        certificate.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    (tmp_path / "cloud.toml").write_text(
        "[server]\nport = 0\n"
        '[server.tls]\ncert = "cloud.pem"\nkey = "cloud.key"\nclient_ca = "ca.pem"\n'
        '[[access.devices]]\nidentity = "edge-gate"\ncameras = ["yard/gate"]\n'
        '[[access.devices]]\nidentity = "admin"\ncameras = ["*"]\n'
    )
    with cloud_process(tmp_path, "--config", "cloud.toml") as cloud:

        def as_device(name: str) -> Memory:
            files = f"ca=ca.pem&cert={name}.pem&key={name}.key"
            return make(f"grpcs://localhost:{cloud.port}?{files}")

        gate, admin = as_device("gate"), as_device("admin")
        note, other = "yard/gate/note/1", "yard/lane/note/1"
        saved = gate.document("put", note, "{}", "--writer", "")
        assert saved["writer"] == "edge-gate"
        code, _, err = gate.run("put", note, "{}", "--expect", "1")
        assert code == 1
        assert "may not write as" in err
        code, _, err = gate.run("put", other, "{}", "--writer", "")
        assert code == 1
        assert "edge-gate may not write" in err
        assert admin.document("put", other, "{}", "--writer", "")["version"] == 1
        assert admin.document("stats")["live"] == 2
        assert gate.run("stats")[0] == 1
        assert gate.document("stats", "yard/gate/")["live"] == 1
        assert make(f"grpc://localhost:{cloud.port}").run("get", note)[0] == 4
