"""``secondlook memory``, the real command, on a SQLite file, a Redis and a cloud over gRPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.cloud import cloud_process
from support.redis import free_port, redis_server, until

from secondlook.shared.memory.kinds import GateState, context_id

GATE = context_id("yard/gate", GateState, "state")
NOTE = "yard/gate/note/1"
RECORDS = 3000


class Memory:
    """The command on one store, in a folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "secondlook.cli", "memory", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            env={**os.environ, "SECONDLOOK_MEMORY": self.url, **variables},
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def document(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(params=["sqlite", "redis", "grpc"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory]:
    if request.param == "sqlite":
        yield Memory("sqlite:///memory.db", tmp_path)
    elif request.param == "redis":
        with redis_server() as redis:
            yield Memory(redis.url, tmp_path)
    else:
        with cloud_process(tmp_path, "--port", "0") as cloud:
            yield Memory(f"grpc://127.0.0.1:{cloud.port}", tmp_path)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An export of many records."""
    file = tmp_path / "many.jsonl"
    header = {"format": "secondlook-memory", "version": 1, "id": "f00d", "records": RECORDS}
    lines = [header]
    lines += [{"id": f"yard/c{n % 7}/note/{n}", "data": {"n": n}} for n in range(RECORDS)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_a_record_through_its_life(memory: Memory, tmp_path: Path) -> None:
    code, out, _ = memory.run("put", NOTE, '{"text": "new lamp", "n": 1}', "--ttl", "2h")
    assert (code, out.partition(",")[0]) == (0, f"{NOTE}: saved as version 1")
    code, _, err = memory.run("put", NOTE, "{}")
    assert code == 1
    assert err.startswith(f"error: {NOTE}: expected version 0, found 1")

    # An editor that is a real program; meanwhile somebody else changes another field.
    program = tmp_path / "editor.py"
    program.write_text(
        "import pathlib, subprocess, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "file.write_text(file.read_text().replace('new lamp', 'old lamp'))\n"
        "edit = ['memory', 'edit', sys.argv[2], '--set', 'n=2']\n"
        "subprocess.run([sys.executable, '-m', 'secondlook.cli', *edit], check=True)\n"
    )
    wrapper = tmp_path / "editor.sh"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$1" "{NOTE}"\n')
    wrapper.chmod(0o755)
    code, out, err = memory.run("edit", NOTE, EDITOR=str(wrapper), VISUAL="")
    assert code == 0, err
    record = memory.document("get", NOTE)
    assert record["data"] == {"text": "old lamp", "n": 2}
    assert record["version"] == 3
    assert record["expires_at"] - record["updated_at"] == pytest.approx(7200, abs=300)

    code, _, err = memory.run("put", GATE, '{"schema": 1, "asked": -1}')
    assert code == 2
    assert "gate: asked" in err
    memory.document("put", GATE, '{"schema": 1, "asked": 3}')
    stats = memory.document("stats", "yard/")
    assert (stats["live"], stats["tombstones"]) == (2, 0)
    assert set(stats["kinds"]) == {"gate", "note"}

    cursor = memory.document("changes")["cursor"]
    tombstone = memory.document("delete", NOTE, "--expect", "3")
    assert (tombstone["deleted"], tombstone["version"]) == (True, 4)
    (changed,) = memory.document("changes", "--since", str(cursor))["records"]
    assert (changed["id"], changed["deleted"]) == (NOTE, True)
    assert memory.run("get", NOTE)[0] == 1


def test_a_watch_ends_with_ctrl_c_and_goes_on_from_there(memory: Memory) -> None:
    memory.document("put", NOTE, '{"n": 1}')
    watch = memory.start("watch", "yard/", "--json")
    assert watch.stdout is not None
    first = json.loads(watch.stdout.readline())
    assert first["data"] == {"n": 1}
    memory.document("put", NOTE, '{"n": 2}', "--expect", "1")
    memory.document("put", "roof/gate/note/1", "{}")
    assert json.loads(watch.stdout.readline())["data"] == {"n": 2}
    watch.send_signal(signal.SIGINT)
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    cursor = err.removeprefix("resume with --since ").strip()
    memory.document("put", NOTE, '{"n": 3}', "--expect", "2")
    code, out, _ = memory.run("watch", "yard/", "--since", cursor, "--count", "1", "--json")
    assert code == 0
    assert json.loads(out)["data"] == {"n": 3}


def test_an_import_that_is_killed_goes_on_where_it_was(memory: Memory, exported: Path) -> None:
    memory.document("put", "yard/c0/note/0", '{"n": "mine"}')
    killed = memory.start("import", str(exported), "--on-conflict", "replace")
    until(
        lambda: (
            len(memory.document("changes", "--limit", "2")["records"]) == 2
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
    stats = memory.document("stats")
    assert (stats["live"], stats["tombstones"]) == (RECORDS, 0)

    # Every line was written once: version 1, but for the one that stood before.
    code, out, err = memory.run("export", "-")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()[1:]]
    assert len(lines) == RECORDS
    for line in lines:
        number = int(line["id"].rpartition("/")[2])
        assert line["data"] == {"n": number}
        assert line["version"] == (2 if number == 0 else 1)


def test_what_one_memory_exports_another_takes(memory: Memory, tmp_path: Path) -> None:
    for number in range(3):
        memory.document("put", f"yard/gate/note/{number}", f'{{"text": "grüße {number}"}}')
    memory.document("delete", "yard/gate/note/0", "--any-version")
    header = memory.document("export", "all.jsonl.gz")
    assert header["records"] == 3
    copy = Memory("sqlite:///copy.db", tmp_path)
    report = copy.document("import", "all.jsonl.gz")
    assert (report["created"], report["same"]) == (2, 1)
    back = memory.document("import", "all.jsonl.gz")
    assert back["same"] == 3
    found = copy.document("changes")["records"]
    assert [record["data"] for record in found] == [{"text": "grüße 1"}, {"text": "grüße 2"}]
    memory.document("put", "yard/gate/note/9", "{}")
    later = memory.document("export", "later.jsonl", "--since", str(header["cursor"]))
    assert later["records"] == 1


@pytest.mark.parametrize("scheme", ["grpc", "redis"])
def test_a_memory_that_is_away_is_told_at_once(scheme: str, tmp_path: Path) -> None:
    memory = Memory(f"{scheme}://127.0.0.1:{free_port()}", tmp_path)
    for arguments in (["get", NOTE], ["put", NOTE, "{}"], ["watch"], ["export", "x.jsonl"]):
        code, out, err = memory.run(*arguments)
        assert code == 4, err
        assert out == ""
        assert "error: " in err.splitlines()[-1]
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_asked_for_its_certificate(tmp_path: Path) -> None:
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
            return Memory(f"grpcs://localhost:{cloud.port}?{files}", tmp_path)

        gate, admin = as_device("gate"), as_device("admin")
        saved = gate.document("put", NOTE, "{}", "--writer", "")
        assert saved["writer"] == "edge-gate"
        code, _, err = gate.run("put", NOTE, "{}", "--expect", "1")
        assert code == 1
        assert "may not write as" in err
        code, _, err = gate.run("put", "yard/lane/note/1", "{}", "--writer", "")
        assert code == 1
        assert "edge-gate may not write" in err
        assert admin.document("put", "yard/lane/note/1", "{}", "--writer", "")["version"] == 1
        assert admin.document("stats")["live"] == 2
        assert gate.run("stats")[0] == 1
        assert gate.document("stats", "yard/gate/")["live"] == 1
        plain = Memory(f"grpc://localhost:{cloud.port}", tmp_path)
        assert plain.run("get", NOTE)[0] == 4
