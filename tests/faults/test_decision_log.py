"""The decision log under kill -9, a full disk and hostile files: what was written is read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.decisions import SETTINGS, a_frame, header, read, write
from support.edge import FakeCloud, Film, MemorySink, ScriptedDetector, edge_settings, make_daemon

from secondlook.edge.decisions.blocks import MAGIC, block
from secondlook.edge.decisions.files import sizes
from secondlook.edge.decisions.finding import find
from secondlook.edge.decisions.packing import pack
from secondlook.edge.decisions.policy import policy_of
from secondlook.edge.decisions.reading import Problems
from secondlook.edge.decisions.replay import Replay
from secondlook.shared.errors import InvalidInput, NotFound

WRITER = """
import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[3])
from prometheus_client import CollectorRegistry
from support.decisions import a_frame, header

from secondlook.edge.decisions import DecisionLog, DecisionSettings
from secondlook.shared.clock import SystemClock

folder, first = Path(sys.argv[1]), int(sys.argv[2])
settings = DecisionSettings(flush_s=0.05, rotate_bytes=16384, pictures="none")
log = DecisionLog(folder, settings, SystemClock(), CollectorRegistry())
log.start()
log.begin(header(session=str(first)))
number = first
while True:
    log.put("gate", [a_frame(number, 8)])
    number += 1
    # What a camera gives in a second, not what the log would drop to keep its memory bounded.
    time.sleep(0.001)
    kept = sum(path.stat().st_size for path in folder.glob("gate/*.decisions"))
    print(kept, flush=True)
"""
TESTS = Path(__file__).parents[1]


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    for round_number in range(2):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(100_000 * round_number)]
        writer = subprocess.Popen([*command, str(TESTS)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        before = sum(sizes(tmp_path / "gate", ".decisions").values()) if round_number else 0
        # Until this run has written more than one file.
        while int(writer.stdout.readline()) < before + 20_000:
            pass
        writer.kill()
        writer.stdout.read()
        writer.wait()
        writer.stdout.close()
    stories, problems = read(tmp_path)
    assert problems.corrupt == 0
    runs: dict[str, list[int]] = {}
    for story in stories:
        runs.setdefault(story.header.session, []).append(story.frame.sequence)
    assert len(runs) == 2
    for session, numbers in runs.items():
        # The beginning of the run without a gap: what is missing is its end.
        assert numbers == list(range(int(session), int(session) + len(numbers)))
        assert len(numbers) > 50


def test_a_tail_that_is_torn_is_told_and_skipped(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"rotate_bytes": 16384})
    write(tmp_path, header(), [a_frame(n) for n in range(30)], settings)
    write(tmp_path, header(session="t"), [a_frame(n) for n in range(30, 40)], settings)
    first = min(sizes(tmp_path / "gate", ".decisions"))
    first.write_bytes(first.read_bytes()[:-9])
    stories, problems = read(tmp_path)
    assert problems.torn == 1
    assert "torn" in problems.said[0]
    assert [story.frame.sequence for story in stories] == list(range(30, 40))


FULL = """
import json, resource, sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from prometheus_client import CollectorRegistry
from support.decisions import SETTINGS, a_frame, header

from secondlook.edge.decisions.log import RETRY_S, DecisionFiles
from secondlook.edge.decisions.meter import DecisionMeter

registry = CollectorRegistry()
files = DecisionFiles(Path(sys.argv[1]), SETTINGS, DecisionMeter(registry))
head = header()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited[1]))
for number in range(400):
    files.add(head, a_frame(number, 10), number / 100)
    files.flush(number / 100, everything=True)
value = registry.get_sample_value
dropped = value("secondlook_edge_decisions_dropped_total", {"camera": "gate"})
failed = value("secondlook_edge_decisions_failed_total", {"camera": "gate"})
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
for number in range(400, 410):
    files.add(head, a_frame(number, 10), 4 + RETRY_S)
files.close(4 + RETRY_S)
print(json.dumps({"dropped": dropped, "failed": failed}))
"""


def test_a_disk_that_is_full_stops_the_log_and_harms_nothing(tmp_path: Path) -> None:
    """A limit on the size of files: the system refuses to write more, as on a full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(TESTS)],
        capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout.decode().splitlines()[-1])
    assert told["failed"] == 1
    stories, problems = read(tmp_path)
    assert not problems.said, "nothing is left in part"
    numbers = [story.frame.sequence for story in stories]
    assert len(numbers) == 410 - told["dropped"]
    written = len(numbers) - 10
    assert numbers == [*range(written), *range(400, 410)]
    assert written > 20


@pytest.mark.anyio
async def test_a_daemon_answers_on_where_its_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("a file is where the camera's folder should be")
    registry, sink = CollectorRegistry(), MemorySink()
    async with FakeCloud().running() as cloud:
        settings = edge_settings(
            cloud.address, decisions={"enabled": True, "folder": tmp_path, "flush_s": 0.05}
        )
        daemon = make_daemon(
            settings, ScriptedDetector(), {"gate": Film(10)}, sinks=[sink], registry=registry
        )
        await daemon.run()
    assert len(sink.answers()) == 10
    name = "secondlook_edge_decisions_dropped_total"
    assert (registry.get_sample_value(name, {"camera": "gate"}) or 0) >= 10


@pytest.mark.anyio
async def test_a_daemon_logs_what_it_decides(tmp_path: Path) -> None:
    async with FakeCloud().running() as cloud:
        settings = edge_settings(cloud.address, decisions={"enabled": True, "folder": tmp_path})
        daemon = make_daemon(settings, ScriptedDetector(), {"gate": Film(10)})
        await daemon.run()
    stories, problems = await anyio.to_thread.run_sync(read, tmp_path)
    assert not problems.said
    assert len(stories) == 10
    first = stories[0]
    assert first.sent is not None
    assert first.sent.regions == ((0, 0, 320, 240),)
    assert [way.way for way in first.ways] == ["sent"]
    assert first.ways[0].wire_bytes > first.sent.size
    assert first.verdict is not None
    assert first.header.session in first.sent.request_id
    assert first.header.gate == "cold-start"


@pytest.mark.anyio
async def test_a_daemon_without_a_cloud_says_why_nothing_left(tmp_path: Path) -> None:
    settings = edge_settings(None, decisions={"enabled": True, "folder": tmp_path})
    daemon = make_daemon(settings, ScriptedDetector(), {"gate": Film(5)})
    await daemon.run()
    stories, _ = await anyio.to_thread.run_sync(read, tmp_path)
    assert len(stories) == 5
    assert [(way.way, way.why) for way in stories[0].ways] == [
        ("held", "the cloud could not be reached")
    ]
    assert stories[0].sent is None


def _file(records: list[bytes]) -> bytes:
    return MAGIC + block([pack(header())]) + block(records)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"this is no log at all" * 10,
    "another magic": lambda: b"SLSPOOL1" + bytes(100),
    "no header": lambda: MAGIC + block([pack(a_frame(0))]),
    "of a later version": lambda: MAGIC
    + block([pack(header()).replace(b'"version":1', b'"version":9')]),
    "settings are a list": lambda: MAGIC
    + block([b'\x00{"version":1,"camera":"gate","names":[],"settings":[1]}']),
    "names are numbers": lambda: MAGIC
    + block([b'\x00{"version":1,"camera":"gate","names":7}']),
    "a bomb": lambda: MAGIC + b"\xf0SLB" + b"\xff\xff\xff\x7f" * 3 + bytes(100),
    "huge numbers": lambda: _file([b'\x03{"sequence":1e400,"request_id":"x","way":"sent"}']),
    "a million candidates": lambda: _file([b"\x01" + bytes(36) + b"\xff\xff" + bytes(40)]),
    "deep": lambda: _file([b"\x03" + b"[" * 200_000]),
    "an unknown kind": lambda: _file([b"\x63"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_told_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, header(), [a_frame(n) for n in range(5)])
    (tmp_path / "gate" / "000000.decisions").write_bytes(HOSTILE[name]())
    (tmp_path / "gate" / "not a number.decisions").write_bytes(HOSTILE[name]())
    stories, problems = read(tmp_path)
    assert [story.frame.sequence for story in stories] == list(range(5))
    if name != "empty":
        assert problems.corrupt or problems.torn or problems.unknown
    assert find(tmp_path / "gate", "3", Problems()).frame.sequence == 3


def test_a_log_of_nothing_but_rubbish_is_told(tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "000001.decisions").write_bytes(b"rubbish" * 99)
    with pytest.raises(NotFound, match="no file of a decision log"):
        find(tmp_path / "gate", "last", Problems())


def test_settings_that_make_no_gate_are_told_by_a_replay(tmp_path: Path) -> None:
    head = header()
    head.settings["gate"] = {"threshold": 1e308}
    write(tmp_path, head, [a_frame(0)])
    stories, _ = read(tmp_path)
    with pytest.raises(InvalidInput, match=r"gate\.threshold"):
        Replay(policy_of, [stories[0].header]).run(stories)
