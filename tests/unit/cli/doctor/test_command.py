"""`secondlook doctor` as people use it: output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from support.clips import numbered, write_clip
from support.doctor import FakeEscalation, FakeHealth, closed_port, serve_grpc
from support.networks import write_bright_spot_model

from secondlook.cli.main import run


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str], dict]:
    """Exit code, status by check, the whole document."""
    code = run(["doctor", "--json", "--timeout", "5", *arguments])
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code
    assert document["ok"] is (code == 0)
    return code, {c["name"]: c["status"] for c in document["checks"]}, document


def test_without_options_it_looks_at_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code, checks, _ = doctor(capsys)
    assert code == 0
    assert checks["machine: clock"] == "ok"
    assert checks["software: ONNX Runtime"] == "ok"


def test_for_people_it_prints_lines_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--cloud", f"127.0.0.1:{closed_port()}"]) == 4
    out = capsys.readouterr().out
    assert "FAIL cloud: TCP" in out
    assert "-> start `secondlook cloud serve` there, or correct the port" in out
    assert "First to mend: cloud: TCP." in out


def test_a_running_cloud(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            serve_grpc(health=FakeHealth(), escalation=FakeEscalation())
        ) as address,
    ):
        code, checks, _ = doctor(capsys, "--cloud", address.target)
    assert code == 0
    assert checks["cloud: escalate"] == "ok"


@pytest.mark.parametrize("target", ["cloud", "https://cloud:443", "cloud:99999"])
def test_an_address_that_is_none(capsys: pytest.CaptureFixture[str], target: str) -> None:
    code, checks, _ = doctor(capsys, "--cloud", target)
    assert code == 2
    assert checks["cloud: address"] == "fail"


def test_ca_without_cloud_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--ca", "ca.pem"]) == 2
    assert "--ca belongs to --cloud" in capsys.readouterr().err


def test_cloud_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_bright_spot_model(tmp_path / "spots.onnx")
    settings = tmp_path / "cloud.toml"
    settings.write_text(
        f'[[models]]\nname = "heavy"\npath = "{model}"\nthreads = 1\n'
        f'[memory]\nurl = "sqlite:///{tmp_path}/memory.db"\n'
    )
    code, checks, _ = doctor(capsys, "--cloud-config", str(settings))
    assert code == 0
    assert checks["settings: cloud"] == "ok"
    assert checks["cloud model heavy: inference"] == "ok"
    assert checks["disk: cloud memory"] in ("ok", "warn")


def test_wrong_settings_are_told_and_nothing_else_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "cloud.toml"
    settings.write_text('[memory]\nurl = "mysql://x"\n')
    code, checks, document = doctor(capsys, "--cloud-config", str(settings))
    assert code == 2
    assert checks["settings: cloud"] == "fail"
    assert checks["cloud: everything else"] == "skip"
    assert "config check cloud" in json.dumps(document)


@pytest.fixture
def edge_settings(tmp_path: Path) -> Path:
    """Settings of an edge with a recording, a tiny model and no cloud."""
    clip, model = tmp_path / "clip.mp4", tmp_path / "spots.onnx"
    write_clip(clip, numbered(3))
    write_bright_spot_model(model)
    settings = tmp_path / "edge.toml"
    settings.write_text(
        f'[[cameras]]\nid = "site/gate"\nurl = "{clip}"\n'
        f'[detector]\nmodel = "{model}"\nthreads = 1\n'
        "[uplink]\nenabled = false\n"
        f'[[sinks.jsonl]]\npath = "{tmp_path}/out/{{camera}}.jsonl"\n'
        f'[[sinks.video]]\npath = "{tmp_path}/site.mp4"\n'
        '[[sinks.jsonl]]\npath = "-"\n'
    )
    return settings


def test_edge_settings(edge_settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks, _ = doctor(capsys, "--edge-config", str(edge_settings))
    assert code == 0
    assert checks["camera site/gate: frame"] == "ok"
    assert checks["edge model: inference"] == "ok"
    assert {name for name in checks if name.startswith("disk")} == {
        "disk: JSON lines out",
        "disk: video site.mp4",
    }
    assert not [name for name in checks if name.startswith("cloud")]


def test_one_broken_camera_hides_nothing_else(
    edge_settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = edge_settings.read_text().replace(
        "enabled = false", f'address = "[::1]:{closed_port()}"'
    )
    edge_settings.write_text(text + '[[cameras]]\nid = "yard"\nurl = "/nowhere/clip.mp4"\n')
    code, checks, document = doctor(capsys, "--edge-config", str(edge_settings))
    assert code == 4
    assert checks["camera yard: opens"] == "fail"
    assert checks["edge model: inference"] == "ok"
    assert checks["cloud: TCP"] == "fail"
    assert "/nowhere/clip.mp4" in json.dumps(document)
