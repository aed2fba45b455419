"""`secondlook config` as people use it: output, messages, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.settings import SAMPLE, SampleSettings

from secondlook.cli.config import command
from secondlook.cli.main import run


@pytest.fixture(autouse=True)
def sample_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "settings_class", lambda tier: SampleSettings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE)
    return path


def test_check_accepts_what_holds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "edge", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"ok: {file}:")
    assert "10 from the file, 0 from the environment" in out


def test_check_names_every_problem_and_the_nearest_name(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('[uplink]\ntimout_s = 3\nretries = 99\n[[cameras]]\nname = ""\n')
    assert run(["config", "check", "edge", "--config", str(file)]) == 2
    err = capsys.readouterr().err
    assert "uplink.timout_s is not a setting; did you mean timeout_s?" in err
    assert "uplink.retries: Input should be less than or equal to 10, got 99" in err
    assert "cameras.0.url: Field required" in err
    assert f"{file}: 4 problems" in err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"uplink = [", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a = 1\n" * 200_000, "is larger than"),
    ],
)
@pytest.mark.parametrize("verb", ["check", "show"])
def test_a_broken_file_is_a_clear_error(
    verb: str, content: bytes, told: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(content)
    assert run(["config", verb, "edge", "--config", str(file)]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert str(file) in err
    assert "Traceback" not in err


def test_a_missing_file_and_a_folder_are_clear_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "check", "edge", "--config", str(tmp_path / "no.toml")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert run(["config", "check", "edge", "--config", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_check_warns_of_a_variable_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDLOOK_EDEG__UPLINK__RETRIES", "1")
    monkeypatch.setenv("SECONDLOOK_EDGE__UPLINK__RETRIES", "2")
    assert run(["config", "check", "edge"]) == 0
    captured = capsys.readouterr()
    assert "did you mean SECONDLOOK_EDGE__UPLINK__RETRIES?" in captured.err
    assert "1 from the environment" in captured.out


def test_show_as_json_tells_value_and_source(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDLOOK_EDGE__UPLINK__RETRIES", "1")
    assert run(["config", "show", "edge", "--config", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tier"] == "edge"
    assert shown["settings"]["uplink.retries"] == {"value": 1, "source": "environment"}
    assert shown["settings"]["cameras[1].fps"] == {"value": 2.0, "source": "file"}
    assert "hunter2" not in json.dumps(shown)


def test_show_as_a_table_has_every_field(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "edge", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    assert "cameras[0].url" in out
    assert "Longest wait for a verdict, seconds." in out
    assert "hunter2" not in out


def test_show_changed_leaves_the_defaults_out(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["config", "show", "edge", "--config", str(file), "--changed", "--format", "toml"]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "target" in out
    assert "default" not in out


def test_schema_is_json_schema_with_descriptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema", "cloud"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["additionalProperties"] is False
    camera = schema["$defs"]["SampleCamera"]["properties"]
    assert camera["fps"]["maximum"] == 60
    assert camera["fps"]["description"] == "Analysed frames a second."


def test_an_unknown_tier_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "fog"]) == 2
    assert "'fog' is not one of 'edge', 'cloud'" in capsys.readouterr().err
