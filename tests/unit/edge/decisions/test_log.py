"""The writer: a bounded queue, a thread, and a disk that may refuse."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.decisions import SETTINGS, a_frame, header, read, write

from secondlook.edge.decisions import DecisionLog, DecisionSettings, PictureRecord, WayRecord
from secondlook.edge.decisions.log import RETRY_S, DecisionFiles
from secondlook.edge.decisions.meter import DecisionMeter
from secondlook.edge.decisions.reading import Problems, pictures
from secondlook.shared.clock import ManualClock, SystemClock

HEAD = header()


def value(registry: CollectorRegistry, name: str) -> float:
    return registry.get_sample_value(f"secondlook_edge_decisions_{name}", {"camera": "gate"}) or 0.0


def test_what_is_put_is_written(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    log = DecisionLog(tmp_path, SETTINGS, SystemClock(), registry)
    log.start()
    log.begin(HEAD)
    log.put("gate", [a_frame(n) for n in range(20)])
    log.put("gate", [WayRecord(3, "s-3", "sent")])
    log.close()
    log.close()
    stories, problems = read(tmp_path)
    assert [story.frame.sequence for story in stories] == list(range(20))
    assert stories[3].ways == [WayRecord(3, "s-3", "sent")]
    assert not problems.said
    assert value(registry, "dropped_total") == 0
    (path,) = (tmp_path / "gate").iterdir()
    assert value(registry, "kept_bytes") == path.stat().st_size
    assert 0 < value(registry, "written_bytes_total") < path.stat().st_size


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    # Its thread is not started: nobody takes anything.
    log = DecisionLog(tmp_path, DecisionSettings(queue=16), ManualClock(), registry)
    log.begin(HEAD)
    log.put("gate", [a_frame(n) for n in range(50)])
    assert value(registry, "dropped_total") == 34
    log.close()


def test_pictures_that_wait_are_bounded_by_themselves(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    log = DecisionLog(tmp_path, DecisionSettings(), ManualClock(), registry)
    log.begin(HEAD)
    image = np.zeros((9, 16, 3), np.uint8)
    log.put("gate", [PictureRecord(n, "thumbnail", image) for n in range(20)])
    assert value(registry, "dropped_total") == 12
    log.put("gate", [a_frame(0)])
    assert value(registry, "dropped_total") == 12


def test_records_are_gathered_for_a_while(tmp_path: Path) -> None:
    files = DecisionFiles(tmp_path, SETTINGS, DecisionMeter(CollectorRegistry()))
    assert files.due_s(0.0) is None
    files.add(HEAD, a_frame(0), 10.0)
    files.add(HEAD, a_frame(1), 11.0)
    assert files.due_s(11.0) == pytest.approx(1.0)
    files.flush(11.5)
    assert not (tmp_path / "gate").exists()
    files.flush(12.0)
    assert files.due_s(12.0) is None
    assert len(read(tmp_path)[0]) == 2


def test_much_is_written_at_once(tmp_path: Path) -> None:
    files = DecisionFiles(tmp_path, SETTINGS, DecisionMeter(CollectorRegistry()))
    for number in range(200):
        files.add(HEAD, a_frame(number, 20), 0.0)
    assert len(read(tmp_path)[0]) > 100


def test_another_run_of_a_camera_begins_files_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, HEAD, [a_frame(0), a_frame(1)])
    write(tmp_path, header(session="t"), [a_frame(0)])
    stories, _ = read(tmp_path)
    assert [story.header.session for story in stories] == ["s", "s", "t"]
    files = DecisionFiles(tmp_path, SETTINGS, DecisionMeter(CollectorRegistry()))
    files.add(header(session="u"), a_frame(5), 0.0)
    files.add(header(session="v"), a_frame(0), 0.0)
    files.close(0.0)
    stories, _ = read(tmp_path)
    assert [story.header.session for story in stories] == ["s", "s", "t", "u", "v"]


def test_a_disk_that_refuses_stops_the_log_until_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    files = DecisionFiles(tmp_path, SETTINGS, DecisionMeter(registry))
    files.add(HEAD, a_frame(0), 0.0)
    files.flush(0.0, everything=True)
    real = os.write

    def full(_: int, __: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    files.add(HEAD, a_frame(1), 1.0)
    files.flush(1.0, everything=True)
    monkeypatch.setattr(os, "write", real)
    assert value(registry, "dropped_total") == 1
    assert value(registry, "failed_total") == 1
    files.add(HEAD, a_frame(2), 1.0 + RETRY_S / 2)
    assert value(registry, "dropped_total") == 2
    files.add(HEAD, a_frame(3), 1.0 + RETRY_S)
    files.close(1.0 + RETRY_S)
    stories, problems = read(tmp_path)
    assert [story.frame.sequence for story in stories] == [0, 3]
    assert not problems.said
    assert value(registry, "dropped_total") == 2


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("a file is in the way")
    registry = write(tmp_path, HEAD, [a_frame(0)])
    assert value(registry, "failed_total") == 1


def test_small_pictures_are_encoded_by_the_writer(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    records = [PictureRecord(4, "thumbnail", image), PictureRecord(4, "sent", b"RIFF")]
    write(tmp_path, HEAD, records)
    small, sent = pictures(tmp_path / "gate", Problems(), "s")
    assert isinstance(small.data, bytes)
    assert small.data[8:12] == b"WEBP"
    assert sent.data == b"RIFF"


def test_pictures_have_a_bound_of_their_own(tmp_path: Path) -> None:
    settings = DecisionSettings(picture_bytes=256 * 1024)
    data = os.urandom(40_000)
    write(tmp_path, HEAD, [PictureRecord(n, "sent", data) for n in range(40)], settings)
    kept = list(pictures(tmp_path / "gate", Problems(), "s"))
    total = sum(path.stat().st_size for path in (tmp_path / "gate").glob("*.pictures"))
    assert total <= 256 * 1024
    assert kept
    assert kept[-1].sequence == 39


def test_a_picture_larger_than_all_may_be_is_dropped(tmp_path: Path) -> None:
    settings = DecisionSettings(picture_bytes=256 * 1024)
    records = [PictureRecord(0, "sent", bytes(300 * 1024)), PictureRecord(1, "sent", b"RIFF")]
    registry = write(tmp_path, HEAD, records, settings)
    assert value(registry, "dropped_total") >= 1


def test_a_writer_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("secondlook.edge.decisions.log._CLOSE_S", 0.05)

    def hang(*_: object) -> None:
        go_on.wait(20)

    monkeypatch.setattr(DecisionFiles, "add", hang)
    log = DecisionLog(tmp_path, SETTINGS, SystemClock(), CollectorRegistry())
    log.start()
    log.begin(HEAD)
    log.put("gate", [a_frame(0)])
    log.close()
    go_on.set()
