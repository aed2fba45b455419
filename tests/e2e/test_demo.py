"""`secondlook demo` as a user runs it: two real processes, one report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
from support.networks import write_bright_spot_model

DEMO = [sys.executable, "-m", "secondlook.cli", "demo"]
FILES = {"report.html", "annotated.mp4", "events.jsonl", "summary.json"}
NAMES = ("person", "bicycle", "car", "bus", "truck")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for models that load at once; on a street they see next to nothing."""
    folder = tmp_path_factory.mktemp("tiny")
    light = write_bright_spot_model(folder / "light.onnx", names=NAMES, gain=0.5)
    heavy = write_bright_spot_model(folder / "heavy.onnx", names=NAMES)
    return ["--edge-model", str(light), "--cloud-model", str(heavy)]


def test_two_processes_one_report(tmp_path: Path) -> None:
    out = tmp_path / "report"
    out.mkdir()
    (out / "events.jsonl").write_text("of an earlier run\n")
    (out / "notes.txt").write_text("mine")
    done = subprocess.run(
        [*DEMO, "--seconds", "5", "--analysis-fps", "4", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=115,
    )
    assert done.returncode == 0, done.stderr
    for said in ("against the truth", "against the cloud model", "price", "report.html"):
        assert said in done.stdout
    assert {path.name for path in out.iterdir()} == FILES | {"notes.txt"}
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [e["sequence"] for e in events if e["type"] == "answer"] == list(range(0, 40, 2))
    data = json.loads((out / "summary.json").read_text())
    assert data["frames"] == 20
    assert data["revisions"] == sum(e["type"] == "revision" for e in events) > 0
    systems = {system["name"]: system for system in data["systems"]}
    assert set(systems) == {"edge_only", "cloud_jpeg", "cloud_h264", "secondlook"}
    ours, edge, jpeg = (systems[name] for name in ("secondlook", "edge_only", "cloud_jpeg"))
    # The second look is worth it, at a part of the price.
    assert ours["final"]["truth"]["f1"] > edge["final"]["truth"]["f1"]
    assert 0 < ours["uplink_kb_per_frame"] < jpeg["uplink_kb_per_frame"] / 2
    assert 0 < ours["cloud_inferences_per_frame"] <= 1
    with av.open(str(out / "annotated.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 20
    html = (out / "report.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 6


def test_a_model_that_is_missing_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--seconds", "1", "--out", str(tmp_path / "o"), "--cloud-model", "/nowhere.onnx"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert "/nowhere.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [*DEMO, "--out", str(tmp_path / "file" / "report")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_ctrl_c_takes_both_tiers_along(tiny: list[str], tmp_path: Path) -> None:
    reader, writer = os.openpty()
    process = subprocess.Popen(
        [*DEMO, "--seconds", "600", "--out", str(tmp_path / "o"), *tiny],
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(writer)
    shown = b""
    try:
        while b"answers revised" not in shown:
            shown += os.read(reader, 4096)
        # As a terminal does it: to the whole group.
        os.killpg(process.pid, signal.SIGINT)
        try:
            while piece := os.read(reader, 4096):
                shown += piece
        except OSError:
            pass  # how a pseudo-terminal tells that the other side is gone
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    assert b"Traceback" not in shown
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
