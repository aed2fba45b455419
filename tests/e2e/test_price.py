"""`secondlook price` as a process: real models, and a Ctrl-C in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.clips import write_clip
from support.networks import blank, paint, write_bright_spot_model

PRICE = [sys.executable, "-m", "secondlook.cli", "price"]


def painted(number: int):
    """One car that moves."""
    image = blank(160, 96)
    paint(image, (8 + number % 40, 8, 48 + number % 40, 40), "car", score=0.9)
    return image


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("price")
    return {
        "clip": write_clip(folder / "clip.mp4", (painted(i) for i in range(300)), fps=30),
        "light": write_bright_spot_model(folder / "light.onnx", gain=0.5),
        "heavy": write_bright_spot_model(folder / "heavy.onnx"),
    }


def command(parts: dict[str, Path], *more: str) -> list[str]:
    models = ["--edge-model", str(parts["light"]), "--cloud-model", str(parts["heavy"])]
    return [*PRICE, str(parts["clip"]), *models, *more]


def test_standard_output_is_json_and_nothing_else(parts: dict[str, Path]) -> None:
    done = subprocess.run(
        command(parts, "--max-frames", "4", "--no-cache", "--json", "-"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert [s["name"] for s in data["systems"]] == [
        "edge_only",
        "cloud_jpeg",
        "cloud_h264",
        "cloud_h265",
        "secondlook",
    ]
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_at_once_and_quietly(parts: dict[str, Path]) -> None:
    # Progress goes to a pseudo-terminal, so that the moment of the work is seen.
    reader, writer = os.openpty()
    process = subprocess.Popen(
        command(parts, "--analysis-fps", "30", "--no-cache"),
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(writer)
    shown = b""
    try:
        while b"comparing" not in shown:
            shown += os.read(reader, 4096)
        process.send_signal(signal.SIGINT)
        # The terminal is read to its end: a full one would hold the process up.
        try:
            while piece := os.read(reader, 4096):
                shown += piece
        except OSError:
            pass  # how a pseudo-terminal tells that the other side is gone
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    assert b"Traceback" not in shown


@pytest.mark.real_material
def test_real_models_on_real_footage(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "numbers.json"
    models, clips = material / "models", material / "clips"
    done = subprocess.run(
        [
            *PRICE,
            str(clips / "highway.avi"),
            "--edge-model",
            str(models / "yolox_nano.onnx"),
            "--cloud-model",
            str(models / "yolov8s_640.onnx"),
            "--analysis-fps",
            "3",
            "--max-frames",
            "6",
            "--no-cache",
            "--json",
            str(out),
        ],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(out.read_text())
    systems = {system["name"]: system for system in data["systems"]}
    assert data["frames"] == 6
    # Both codecs leave the heavy model's answers nearly as they are.
    assert systems["cloud_jpeg"]["final"]["f1"] > 0.8
    assert systems["cloud_h264"]["final"]["f1"] > 0.7
    assert 0.2 < systems["edge_only"]["final"]["f1"] < 0.95
    assert (
        systems["secondlook"]["uplink_kb_per_frame"]
        < systems["cloud_jpeg"]["uplink_kb_per_frame"] / 2
    )
