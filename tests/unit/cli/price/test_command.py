"""What `secondlook price` says to wrong use, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondlook.cli.main import EXIT_UNREACHABLE, EXIT_USAGE, run

TWO = ["--edge-model", "{light}", "--cloud-model", "{heavy}"]


def call(arguments: list[str], **paths: Path) -> int:
    filled = [a.format(**paths) for a in arguments]
    return run(["price", *filled])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{clip}", *TWO, "--max-frames", "0"], EXIT_USAGE, "--max-frames"),
        (["{clip}", *TWO, "--analysis-fps", "-1"], EXIT_USAGE, "--analysis-fps"),
        (["{clip}", *TWO, "--crf", "52"], EXIT_USAGE, "--crf"),
        (["{clip}", *TWO, "--classes", "dragon"], EXIT_USAGE, "unknown class 'dragon'"),
        (["{clip}", *TWO, "--classes", ","], EXIT_USAGE, "empty list"),
        (["{clip}", *TWO, "--json", "/nowhere/at/all.json"], EXIT_USAGE, "--json"),
        (["/nowhere/clip.mp4", *TWO], EXIT_UNREACHABLE, "/nowhere/clip.mp4"),
        (["{clip}", "--edge-model", "/nowhere/m.onnx"], EXIT_USAGE, "--edge-model: model /nowhere"),
        (
            ["{clip}", "--edge-model", "{light}", "--cloud-model", "{clip}"],
            EXIT_USAGE,
            "--cloud-model: ",
        ),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str],
    code: int,
    said: str,
    clip: Path,
    light: Path,
    heavy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(arguments, clip=clip, light=light, heavy=heavy) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_the_numbers_come_as_a_table_and_as_a_file(
    clip: Path, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "numbers.json"
    arguments = ["{clip}", *TWO, "--max-frames", "2", "--json", str(out)]
    assert call(arguments, clip=clip, light=light, heavy=heavy) == 0
    shown = capsys.readouterr().out
    assert "against the cloud model" in shown
    assert "cloud, H.264" in shown
    data = json.loads(out.read_text())
    assert data["frames"] == 2


def test_json_on_standard_output_is_alone_there(
    clip: Path, light: Path, heavy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["{clip}", *TWO, "--max-frames", "2", "--json", "-"]
    assert call(arguments, clip=clip, light=light, heavy=heavy) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["systems"][3]["name"] == "secondlook"
    assert "Secondlook reaches" in captured.err
