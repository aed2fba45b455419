"""`explain` and `replay` on the log of the real commands: simulated street, edge, cloud."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from support.cloud import cloud_process
from support.edge import edge_process

FRAMES = 15
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of `sim://street` through both tiers, with the demo models."""
    folder = tmp_path_factory.mktemp("explain")
    settings = folder / "edge.toml"
    settings.write_text(
        '[[cameras]]\nid = "street"\nurl = "sim://street?seed=7"\nanalysis_fps = 5\n'
        'pacing = "asap"\n[detector]\nthreads = 1\n[memory]\nenabled = false\n'
        "[trust]\naudit_rate = 0.15\n[budget]\nkb_per_s = 400\n"
        f'[decisions]\nfolder = "{folder / "log"}"\npicture_every_s = 0.2\n'
    )
    with cloud_process(folder, "--port", "0", "--memory", "sqlite:///m.db") as cloud:
        arguments = ("--config", str(settings), "--cloud", f"127.0.0.1:{cloud.port}")
        with edge_process(folder, *arguments, "--max-frames", str(FRAMES)) as edge:
            assert edge.wait() == 0, edge.log.read_text()
    return folder / "log"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``secondlook ARGUMENTS`` as a process in an empty folder."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "secondlook.cli", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return call


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_frame_that_was_sent_is_explained(command: Command, log: Path, tmp_path: Path) -> None:
    done = command("explain", "street", "last-asked", "--log", log, "--out", "why.png")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("street, frame ")
    assert lines[1].startswith(("sent: ", "not sent: "))
    for title in ("because:", "terms:", "left the site:", "another threshold would have asked"):
        assert title in done.stdout
    assert cv2.imread(str(tmp_path / "why.png")) is not None
    said = document(command("explain", "street", "last-asked", "--log", log, "--json"))
    assert said["regions"]
    assert any(one["fate"] == "asked" for one in said["candidates"])
    assert said["frame"] == [640, 384]


def test_the_first_frame_went_whole(command: Command, log: Path) -> None:
    first = document(command("explain", "street", "0", "--log", log, "--json"))
    assert first["headline"] == "sent: the whole frame"
    assert "no whole frame of this camera yet" in first["reasons"][0]
    assert first["after"]


def test_a_verdict_is_told_with_its_model(command: Command, log: Path) -> None:
    # The first frame's, but on a machine that is busy starting two services, where it is late.
    frames = (
        document(command("explain", "street", n, "--log", log, "--json")) for n in range(FRAMES)
    )
    assert any("the verdict of street_heavy" in line for one in frames for line in one["after"])


def test_the_own_policy_is_replayed_to_the_last_word(command: Command, log: Path) -> None:
    said = document(command("replay", log, "--json"))
    (camera,) = said["cameras"]
    assert camera["exact"] == camera["same"] == camera["frames"] == FRAMES
    assert camera["first_difference"] is None
    assert camera["done"] == camera["other"]
    assert camera["done"]["questions"] > 1
    assert camera["sent"] >= 1
    assert said["problems"]["said"] == []


def test_another_policy_costs_and_loses_something_else(
    command: Command, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "frugal.toml").write_text("[gate]\nthreshold = 0.9\n[trust]\naudit_rate = 0.0\n")
    said = document(command("replay", log, "--policy", "frugal.toml", "--json"))
    (camera,) = said["cameras"]
    assert camera["other"]["questions"] < camera["done"]["questions"]
    assert camera["other"]["wire_bytes"] < camera["done"]["wire_bytes"]
    assert camera["other"]["loss_left"] > camera["done"]["loss_left"]
    assert camera["other"]["audits"] == 0
    assert "cannot be" not in said["limits"][0]
    shown = command("replay", log, "--policy", "frugal.toml")
    assert shown.returncode == 0
    assert "expected errors left" in shown.stdout
    assert "Evidence that depends on earlier verdicts is as it was" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("explain", "roof", "0"), 1, "camera 'roof' is not in the log"),
        (("explain", "street", "99999"), 1, "the newest frame is"),
        (("explain", "street", "soon"), 2, "is no frame"),
        (("replay", "."), 1, "no decision log"),
        (("replay", "missing"), 1, "no folder"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_there_is_told(
    command: Command, log: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    more = ("--log", str(log)) if arguments[0] == "explain" else ()
    done = command(*arguments, *more)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
