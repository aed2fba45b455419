"""The self-test with the real commands: it measures a full stream, chooses it, and tells why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.clips import write_clip
from support.cloud import cloud_process
from support.edge import edge_process
from support.networks import blank, paint, write_bright_spot_model

FRAMES = 240


def _restless() -> Iterator[np.ndarray]:
    """A person is somewhere else in every frame, too faint for the light model."""
    dice = np.random.default_rng(3)
    for _ in range(FRAMES):
        image = blank(320, 240)
        x, y = int(dice.integers(10, 260)), int(dice.integers(10, 170))
        paint(image, (x, y, x + 40, y + 48), "person", score=0.5)
        yield image


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_a_camera_finds_out_that_a_full_stream_pays_and_says_why(tmp_path: Path) -> None:
    write_bright_spot_model(tmp_path / "light.onnx", gain=0.05)
    write_bright_spot_model(tmp_path / "heavy.onnx")
    write_clip(tmp_path / "yard.mp4", _restless(), fps=2)
    (tmp_path / "edge.toml").write_text(
        f'[detector]\nmodel = "{tmp_path / "light.onnx"}"\nthreads = 1\n'
        "[misses]\nblob_loss = 0\nview_loss = 0\ncoasting_loss = 0\n"
        "[trust]\naudit_rate = 0.5\n"
        "[selftest]\nmin_audits = 30\nprice = 0.00001\nprobe_share = 10\nprobe_frames = 3\n"
        "write_every_s = 1\n"
        f'[memory]\npath = "{tmp_path / "memory.db"}"\n'
        # A busy machine is slow, and no outage.
        "[uplink.breaker]\nenabled = false\n"
        f'[[cameras]]\nid = "yard/one"\nurl = "{tmp_path / "yard.mp4"}"\npacing = "asap"\n'
    )
    model = ("--model", str(tmp_path / "heavy.onnx"), "--memory", "sqlite:///cloud.db")
    with cloud_process(tmp_path, *model) as cloud:
        more = ("--config", str(tmp_path / "edge.toml"), "--cloud", f"127.0.0.1:{cloud.port}")
        with edge_process(tmp_path, *more) as edge:
            assert edge.process.wait(200) == 0, edge.log.read_text()
            said, log = edge.documents(), edge.log.read_text()
    (change,) = [line for line in log.splitlines() if "another way of working" in line]
    assert "after=full" in change
    assert "whole frames are worth" in change
    decisions = [one["decision"] for one in said if one["type"] == "answer"]
    assert all(one["regions"] == [[0, 0, 320, 240]] for one in decisions[-20:])
    store = ("--store", f"sqlite:///{tmp_path / 'memory.db'}")
    command = [sys.executable, "-m", "secondlook.cli", "trust", *store]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "yard/one works as full\n" in shown.stdout
    told = subprocess.run(
        [*command, "--json"], check=True, capture_output=True, text=True, timeout=60
    )
    mode = json.loads(told.stdout)["modes"]["yard/one"]
    assert (mode["mode"], mode["settled"]) == ("full", True)
