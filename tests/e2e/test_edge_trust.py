"""Trust with the real commands: audits become certificates, and a restart goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.clips import write_clip
from support.cloud import CloudProcess, cloud_process
from support.edge import edge_process
from support.networks import blank, paint, write_bright_spot_model
from support.waiting import until_beside

CAR = (40, 60, 120, 140)
PROMISE = "audit_rate = 0.6\nalpha = 0.1\nwindow_frames = 100\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street where nothing moves, and two models that see the same in it."""
    where = tmp_path_factory.mktemp("trust")
    write_bright_spot_model(where / "light.onnx", gain=1.0)
    write_bright_spot_model(where / "heavy.onnx", gain=1.0)
    image = blank(320, 240)
    paint(image, CAR, "car", score=0.9)
    write_clip(where / "yard.mp4", (image for _ in range(20)), fps=10)
    return where


def _arguments(at: Path, folder: Path, cloud: CloudProcess, camera: str) -> tuple[str, ...]:
    at.mkdir(exist_ok=True)
    file = at / "edge.toml"
    file.write_text(
        f'[detector]\nmodel = "{folder / "light.onnx"}"\nthreads = 1\n'
        f"[trust]\n{PROMISE}"
        "[uplink.breaker]\nenabled = false\n"  # a busy machine is slow, and no outage
        f'[memory]\npath = "{at / "memory.db"}"\n[memory.sync]\npoll_s = 0.2\ngather_s = 0.05\n'
        f'[[cameras]]\nid = "{camera}"\nurl = "{folder / "yard.mp4"}"\nloop = true\n'
        'pacing = "asap"\n'
    )
    return ("--config", str(file), "--cloud", f"127.0.0.1:{cloud.port}")


def _run(at: Path, arguments: tuple[str, ...], frames: int) -> str:
    with edge_process(at, *arguments, "--max-frames", str(frames)) as edge:
        assert edge.wait() == 0, edge.log.read_text()
        return edge.log.read_text()


def _standings(cloud: CloudProcess) -> dict[str, dict[str, Any]]:
    return _standings_in(f"grpc://127.0.0.1:{cloud.port}")


def _standings_in(store: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "secondlook.cli", "trust", "--store", store, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return {one["name"]: one for one in json.loads(done.stdout)["standings"]}


def test_audits_become_a_certificate_that_outlives_a_restart_and_serves_the_site(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDLOOK_CLOUD__MEMORY__CERTIFY_EVERY_S", "0.2")
    model = ("--model", str(folder / "heavy.onnx"), "--memory", "sqlite:///cloud.db")
    with cloud_process(tmp_path, *model) as cloud:
        one = _arguments(tmp_path / "one", folder, cloud, "yard/one")
        log = _run(tmp_path / "one", one, 130)
        assert "trust has changed" in log
        standing = _standings(cloud)["yard/one"]
        assert standing["state"] == "certified", standing["reasons"]
        ended, filling = standing["windows"]
        assert (ended["frames"], ended["lost"], ended["spoilt"]) == (100, 0, "")
        assert 29 <= ended["audits"] < 100
        assert ended["model"] == "heavy"
        assert filling["frames"] == 30
        assert standing["certificate"]["bound"] <= 0.1

        log = _run(tmp_path / "one", one, 3)
        assert "trust has changed" in log, "recalled before the first frame"
        standing = _standings(cloud)["yard/one"]
        assert standing["state"] == "certified"
        ended, filling = standing["windows"]
        assert (ended["frames"], filling["frames"]) == (100, 33), "the open window goes on"

        site = _standings(cloud)["yard"]
        assert site["of_site"]
        assert site["windows"][0]["cameras"] == ["yard/one"]
        assert site["certificate"] is not None


@pytest.mark.heavy  # alone on the machine: an audit that is late is not the matter here
def test_a_killed_edge_finds_the_window_in_progress_again(folder: Path, tmp_path: Path) -> None:
    model = ("--model", str(folder / "heavy.onnx"), "--memory", "sqlite:///cloud.db")
    with cloud_process(tmp_path, *model) as cloud:
        at = tmp_path / "edge"
        arguments = _arguments(at, folder, cloud, "yard/one")
        file = at / "edge.toml"
        # Few audits, so that none is under way when the window is written.
        promise = "audit_rate = 0.05\nalpha = 0.1\nwindow_frames = 10000\nwrite_every_s = 0.3\n"
        file.write_text(file.read_text().replace(PROMISE, promise))
        store = f"sqlite:///{at / 'memory.db'}"

        def window() -> dict[str, Any]:
            (found,) = _standings_in(store)["yard/one"]["windows"]
            return dict(found)

        with edge_process(at, *arguments) as edge:
            until_beside(
                edge.process,
                edge.log,
                lambda: (
                    (at / "memory.db").exists()
                    and any(
                        one["windows"][-1]["audits"] >= 3 for one in _standings_in(store).values()
                    )
                ),
            )
            edge.process.kill()
            edge.process.wait()
        before = window()
        assert (before["lost"], before["spoilt"], before["awaited"]) == (0, "", 0)
        _run(at, arguments, 5)
        after = window()
        assert after["started_s"] == before["started_s"]
        assert after["frames"] == before["frames"] + 5
        assert after["audits"] >= before["audits"]
        assert (after["lost"], after["spoilt"]) == (0, "")
