"""``secondlook cloud serve``: from options to settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import secondlook.cloud.processes
import secondlook.cloud.run
from secondlook.cli.cloud import cloud
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.errors import InvalidConfig


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been served; nothing is."""
    calls: list[Any] = []

    async def serve(settings: CloudSettings, ready_file: Path | None) -> None:
        calls.extend((settings, ready_file))

    monkeypatch.setattr(secondlook.cloud.run, "serve", serve)
    return calls


def invoke(*arguments: str) -> None:
    CliRunner().invoke(cloud, ["serve", *arguments], catch_exceptions=False)


def test_without_options_the_defaults_are_served(served: list[Any]) -> None:
    invoke()
    assert served == [CloudSettings(), None]


def test_options_win_over_variables_and_these_over_the_file(
    served: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text("[server]\nport = 1\nmax_concurrent = 1\n[metrics]\nport = 1\n")
    monkeypatch.setenv("SECONDLOOK_CLOUD__SERVER__PORT", "2")
    monkeypatch.setenv("SECONDLOOK_CLOUD__SERVER__MAX_CONCURRENT", "2")
    invoke(
        *("--config", str(file), "--port", "3", "--metrics-port", "0"),
        *("--host", "::1", "--memory", "sqlite:///x.db", "--ready-file", "r.json"),
    )
    settings, ready_file = served
    assert (settings.server.host, settings.server.port) == ("::1", 3)
    assert settings.server.max_concurrent == 2
    assert settings.metrics.port == 0
    assert settings.memory.url == "sqlite:///x.db"
    assert ready_file == Path("r.json")


def test_several_processes_are_supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    async def supervise(settings: CloudSettings, ready_file: Path | None) -> None:
        calls.extend((settings.server.processes, ready_file))

    monkeypatch.setattr(secondlook.cloud.processes, "supervise", supervise)
    invoke("--processes", "3", "--ready-file", "r.json")
    assert calls == [3, Path("r.json")]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("models/yolov8s_640.onnx", "yolov8s_640"),
        ("zoo:street_heavy", "street_heavy"),
        ('/odd "path"/Größe 1.onnx', "Gr--e-1"),
        ("_.onnx", "model"),
    ],
)
def test_a_model_is_named_after_its_file(served: list[Any], model: str, name: str) -> None:
    invoke("--model", model)
    (served_model,) = served[0].models
    assert (served_model.path, served_model.name) == (model, name)


def test_plaintext_beyond_loopback_needs_its_flag(served: list[Any]) -> None:
    with pytest.raises(InvalidConfig, match="allow_plaintext"):
        invoke("--host", "0.0.0.0")
    invoke("--host", "0.0.0.0", "--allow-plaintext")
    assert served[0].server.allow_plaintext


def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['grpc_reflection'] = None\n"
        "from secondlook.cli.main import run\n"
        "sys.exit(run(['cloud', 'serve']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "pip install 'secondlook[cloud]'" in done.stderr
