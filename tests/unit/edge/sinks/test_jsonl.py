"""Answers as JSON lines."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.edge import seen

from secondlook.edge.sinks import Event, JsonLinesSettings
from secondlook.edge.sinks.jsonl import JsonLinesSink
from secondlook.edge.sinks.lines import to_document, to_line
from secondlook.shared.values import Decision, FrameRef, Observation, Purpose, Region

FRAME = FrameRef("site/gate", 42, 10.0, 1_700_000_000.1234, 320, 240)
BOXES = seen(((1, 2, 3.04, 4), 0.71249, "car")).with_track_ids(seen(((0,) * 4, 1, "car")).track_ids)
ANSWER = Observation(
    FRAME,
    BOXES,
    decision=Decision((Region(16, 16, 48, 48, "why"),), Purpose.UNSURE, ("unsure",)),
    published_s=10.03125,
)
REVISION = replace(ANSWER, revision=1, cause="s-42")


def _sink(path: Path | str, **changes: object) -> JsonLinesSink:
    return JsonLinesSink(JsonLinesSettings.model_validate({"path": str(path), **changes}))


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def test_the_schema_of_an_answer() -> None:
    assert to_document(Event(ANSWER, 1.40001)) == {
        "type": "answer",
        "camera": "site/gate",
        "sequence": 42,
        "captured_at": 1700000000.123,
        "media_s": 1.4,
        "width": 320,
        "height": 240,
        "latency_s": 0.0312,
        "revision": 0,
        "detections": [{"box": [1.0, 2.0, 3.0, 4.0], "score": 0.712, "class": "car", "track": -1}],
        "decision": {
            "escalate": True,
            "purpose": "unsure",
            "reasons": ["unsure"],
            "regions": [[16, 16, 48, 48]],
        },
    }


def test_a_revision_names_its_cause_and_repeats_no_decision() -> None:
    document = to_document(Event(REVISION, 1.4))
    assert document["type"] == "revision"
    assert document["revision"] == 1
    assert document["cause"] == "s-42"
    assert "decision" not in document


def test_a_line_is_one_line_of_json() -> None:
    line = to_line(Event(ANSWER, 0.0))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["camera"] == "site/gate"


def test_lines_are_appended_and_are_there_after_each_write(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    sink = _sink(path)
    sink.write([Event(ANSWER, 0.0)])
    assert len(_lines(path)) == 1
    sink.write([Event(REVISION, 0.0), Event(ANSWER, 0.1)])
    sink.close()
    again = _sink(path)
    again.write([Event(ANSWER, 0.2)])
    again.close()
    assert [line["type"] for line in _lines(path)] == ["answer", "revision", "answer", "answer"]


def test_revisions_can_be_left_out_and_cameras_kept_apart(tmp_path: Path) -> None:
    sink = _sink(tmp_path / "{camera}.jsonl", revisions=False)
    sink.write([Event(ANSWER, 0.0), Event(REVISION, 0.0)])
    sink.close()
    assert [line["type"] for line in _lines(tmp_path / "site_gate.jsonl")] == ["answer"]


def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "out.jsonl", tmp_path / "out.jsonl.1"
    sink = _sink(path)
    sink.write([Event(ANSWER, 0.0)])
    path.rename(old)
    sink.write([Event(ANSWER, 0.1)])
    path.unlink()
    sink.write([Event(ANSWER, 0.2)])
    sink.close()
    assert [line["media_s"] for line in _lines(old)] == [0.0]
    assert [line["media_s"] for line in _lines(path)] == [0.2]


def test_a_line_torn_by_a_full_disk_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.jsonl"
    sink = _sink(path)
    write, room = os.write, [100]

    def full(descriptor: int, data: memoryview) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        sink.write([Event(ANSWER, 0.0)])
    room[0] = 10_000
    sink.write([Event(ANSWER, 0.1)])
    sink.close()
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 100
    assert json.loads(whole)["media_s"] == 0.1


def test_a_path_that_cannot_be_written_is_an_error_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = _sink(tmp_path / "file" / "out.jsonl")
    for _ in range(2):
        with pytest.raises(OSError, match=r"exists|directory"):
            sink.write([Event(ANSWER, 0.0)])
    sink.close()


def test_standard_output_is_written_to_and_left_open(capfd: pytest.CaptureFixture[str]) -> None:
    sink = _sink("-")
    sink.write([Event(ANSWER, 0.0)])
    sink.close()
    os.write(1, b"still open\n")
    out = capfd.readouterr().out.splitlines()
    assert json.loads(out[0])["sequence"] == 42
    assert out[1] == "still open"
