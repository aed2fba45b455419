"""A promise that is enforced, with the real commands: what is certified is what runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.clips import write_clip
from support.cloud import cloud_process
from support.edge import edge_process
from support.networks import blank, paint, write_bright_spot_model

WINDOW = 200
ROUNDED = 0.006
"""Losses are told with two digits."""
CALM, BUSY, NIGHT, DAY = WINDOW, WINDOW, 120, 440
"""Frames of the parts of the street, in their order."""


def _street() -> Iterator[np.ndarray]:
    """A parked car, and a person somewhere else in every frame.

    First the light model half sees the person, then it sees them better, then not at all (night),
    then as at first.
    """
    scores = [0.55] * CALM + [0.8] * BUSY + [0.3] * NIGHT + [0.55] * DAY
    dice = np.random.default_rng(3)
    for score in scores:
        image = blank(320, 240)
        paint(image, (20, 170, 100, 220), "car", score=1.0)
        x, y = int(dice.integers(10, 260)), int(dice.integers(10, 100))
        paint(image, (x, y, x + 40, y + 48), "person", score=score)
        yield image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The street, a light model, and two versions of a heavy one."""
    where = tmp_path_factory.mktemp("enforce")
    write_bright_spot_model(where / "light.onnx", gain=0.6, offset=-0.15)
    for version in ("1", "2"):
        (where / version).mkdir()
        write_bright_spot_model(where / version / "heavy.onnx", version=version)
    write_clip(where / "street.mp4", _street(), fps=10)
    (where / "edge.toml").write_text(
        f'[detector]\nmodel = "{where / "light.onnx"}"\nthreads = 1\n'
        "[gate]\nthreshold = 1.0\nlearn = false\n"  # nothing is asked but what is demanded
        "[misses]\nblob_loss = 0\nview_loss = 0\ncoasting_loss = 0\n"
        '[trust]\nenforce = true\nwithout = "send_all"\nalpha = 0.1\naudit_rate = 0.2\n'
        f"window_frames = {WINDOW}\nalarm_audits = 20\n"
        f'[memory]\npath = "{where / "memory.db"}"\n'
        # A busy machine is slow, and no outage.
        "[uplink.breaker]\nenabled = false\n"
        f'[[cameras]]\nid = "yard/one"\nurl = "{where / "street.mp4"}"\npacing = "asap"\n'
    )
    return where


def _run(folder: Path, version: str, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The street through both tiers: decisions in the order of frames, and the log."""
    at = folder / f"run-{version}"
    at.mkdir()
    heavy = str(folder / version / "heavy.onnx")
    with cloud_process(at, "--model", heavy, "--memory", "sqlite:///cloud.db") as cloud:
        more = ("--config", str(folder / "edge.toml"), "--cloud", f"127.0.0.1:{cloud.port}")
        with edge_process(at, *more, *arguments) as edge:
            assert edge.process.wait(300) == 0, edge.log.read_text()
            said, log = edge.documents(), edge.log.read_text()
    return [one["decision"] for one in said if one["type"] == "answer"], log


def _standing(folder: Path) -> dict[str, Any]:
    store = ("--store", f"sqlite:///{folder / 'memory.db'}")
    command = [sys.executable, "-m", "secondlook.cli", "trust", *store, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    (found,) = json.loads(done.stdout)["standings"]
    return dict(found)


def _whole(decision: dict[str, Any]) -> bool:
    return bool(decision["regions"] == [[0, 0, 320, 240]])


def _keeps(decisions: list[dict[str, Any]], tau: float) -> int:
    """Check that what reaches a threshold is asked about, and nothing below it; how much is."""
    asked = 0
    for one in decisions:
        for why in one["reasons"]:
            if saves := re.search(r"a verdict saves ([\d.]+)", why):
                assert "demands it" in why
                assert float(saves[1]) >= tau - ROUNDED
                asked += 1
            if left := re.search(r"the largest loss is ([\d.]+)", why):
                assert not one["regions"]
                assert float(left[1]) <= tau + ROUNDED
    return asked


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_what_is_certified_runs_falls_back_on_an_alarm_and_is_certified_again(
    folder: Path,
) -> None:
    decisions, log = _run(folder, "1")
    changes = [line for line in log.splitlines() if "trust has changed" in line]
    standing = _standing(folder)
    first, second, *_ = windows = standing["windows"]

    # Nothing is known: every frame goes whole. A few more do until the last verdicts are there.
    assert all(_whole(one) for one in decisions[:WINDOW])
    assert any("sending everything" in why for one in decisions[:WINDOW] for why in one["reasons"])
    # Then the certified threshold is in force: what reaches it is asked about, and nothing else.
    assert 0 < first["certified_tau"] < second["certified_tau"]
    calm = decisions[WINDOW + 40 : 2 * WINDOW]
    assert not any("sending everything" in why for one in calm for why in one["reasons"])
    audits = [one for one in calm if one["purpose"] == "audit"]
    assert 0 < len(audits) < len(calm) / 2
    _keeps(calm, first["certified_tau"])
    # Night: an alarm, audits five times as frequent, back to what was safe before.
    (alarm, *_) = [line for line in changes if "after=alarm" in line]
    assert "audits 20.00% -> 100.00% of frames" in alarm
    assert f"threshold {second['certified_tau']:g} -> {first['certified_tau']:g}" in alarm
    assert "the threshold certified before" in alarm
    # That does not help either: everything is sent, and the window of the night proves nothing.
    assert standing["alarms"] == 2
    assert 0.0 in [one.get("certified_tau") for one in windows[2:]]
    assert any("all is sent" in why for one in windows for why in one["reasons"])
    # Day: it is certified again.
    assert standing["state"] == "certified"
    assert standing["certificate"]["tau"] > 0
    assert standing["certificate"]["started_s"] > second["started_s"]
    assert _keeps(decisions[-20:], standing["certificate"]["tau"]) > 0

    # Another version of the heavy model voids it: until there is a new one all is sent again.
    decisions, log = _run(folder, "2", "--max-frames", "150")
    (change, *_) = [line for line in log.splitlines() if "after=recertifying" in line]
    assert "the certificate is void" in change
    assert all(_whole(one) for one in decisions[-20:])
    standing = _standing(folder)
    assert (standing["state"], standing["certificate"]) == ("recertifying", None)
