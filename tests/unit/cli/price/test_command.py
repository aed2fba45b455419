"""What `secondlook price` says to wrong use, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secondlook.cli.main import EXIT_UNREACHABLE, EXIT_USAGE, run

TWO = ["--edge-model", "{light}", "--cloud-model", "{heavy}"]


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in the home of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))


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
        (["{clip}", *TWO, "--analysis-fps", "10,x"], EXIT_USAGE, "--analysis-fps '10,x': numbers"),
        (["{clip}", *TWO, "--analysis-fps", "nan"], EXIT_USAGE, "--analysis-fps nan"),
        (["{clip}", *TWO, "--analysis-fps", ","], EXIT_USAGE, "--analysis-fps: a number"),
        (["{clip}", *TWO, "--systems", "edge,h266"], EXIT_USAGE, "unknown system 'h266'"),
        (["{clip}", *TWO, "--systems", ","], EXIT_USAGE, "no system is named"),
        (["{clip}", *TWO, "--band", "0.8,0.2"], EXIT_USAGE, "band is 0.8 to 0.2"),
        (["{clip}", *TWO, "--band", "0.8,2"], EXIT_USAGE, "--band 2: 0 to 1"),
        (["{clip}", *TWO, "--verdict-latency", "soon"], EXIT_USAGE, "--verdict-latency 'soon'"),
        (["{clip}", *TWO, "--verdict-latency", "-1"], EXIT_USAGE, "--verdict-latency -1"),
        (["{clip}", *TWO, "--link", "4g,6g"], EXIT_USAGE, "--link: unknown link '6g'"),
        (["{clip}", *TWO, "--set", "gate.ttl=3"], EXIT_USAGE, "did you mean gate.ttl_s?"),
        (["{clip}", *TWO, "--set", "gate.ttl_s"], EXIT_USAGE, "SECTION.NAME=VALUE"),
        (["{clip}", *TWO, "--set", "gate.ttl_s=never"], EXIT_USAGE, "gate.ttl_s: "),
        (["{clip}", *TWO, "--set", "gate.ttl_s=-1"], EXIT_USAGE, "gate.ttl_s: "),
        (["{clip}", *TWO, "--tau", "0"], EXIT_USAGE, "--tau"),
        (["{clip}", *TWO, "--curve", "/nowhere/at/all.png"], EXIT_USAGE, "--curve"),
        (["{clip}", *TWO, "--curve", "c.png", "--crfs", "20,99"], EXIT_USAGE, "--crfs 99"),
        (["{clip}", *TWO, "--curve", "c.png", "--taus", "0"], EXIT_USAGE, "--taus 0"),
        (["{clip}", *TWO, "--report", "{clip}"], EXIT_USAGE, "--report"),
        (["{clip}", *TWO, "--cache", "{clip}"], EXIT_USAGE, "--cache"),
        (["{clip}", *TWO, "--block-s", "0"], EXIT_USAGE, "--block-s"),
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
    assert json.loads(captured.out)["systems"][4]["name"] == "secondlook"
    assert "Secondlook reaches" in captured.err


def test_a_curve_a_report_and_what_is_kept(
    clip: Path, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, curve = tmp_path / "report", tmp_path / "curve.png"
    arguments = [
        *("{clip}", *TWO, "--max-frames", "3", "--analysis-fps", "10", "--systems", "edge,ours"),
        *("--curve", str(curve), "--taus", "0.1,0.3", "--crfs", "24,34", "--report", str(report)),
        *("--cache", str(tmp_path / "kept"), "--verdict-latency", "0.2"),
    ]
    assert call(arguments, clip=clip, light=light, heavy=heavy) == 0
    assert curve.read_bytes().startswith(b"\x89PNG")
    assert curve.read_bytes() == (report / "curve.png").read_bytes()
    first = json.loads((report / "numbers.json").read_text())
    named = [point["point"] for point in first["curve"]["points"]]
    assert sum("as set" in point for point in named) == 1
    assert len(first["curve"]["points"]) == 3
    assert {title: len(found) for title, found in first["curve"]["streams"].items()} == {
        "H.264": 2,
        "H.265": 2,
    }
    page = (report / "report.html").read_text()
    assert "<svg" in page
    assert "points of Secondlook" in page
    assert "points of Secondlook" in capsys.readouterr().out
    # Again: the streams are known, and say what they said.
    assert call(arguments, clip=clip, light=light, heavy=heavy) == 0
    again = json.loads((report / "numbers.json").read_text())
    assert len(again["kept_from_earlier_runs"]) == 4
    assert again["curve"]["streams"] == first["curve"]["streams"]
    for before, after in zip(first["systems"], again["systems"], strict=True):
        assert before["final"]["f1"] == after["final"]["f1"]


def test_several_rates_are_several_comparisons(
    clip: Path, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["{clip}", *TWO, "--systems", "edge", "--analysis-fps", "10,5", "--json", "-"]
    assert call(arguments, clip=clip, light=light, heavy=heavy) == 0
    data = json.loads(capsys.readouterr().out)
    assert [rate["frames"] for rate in data["rates"]] == [12, 6]
    assert data["frames"] == 12
    assert not (tmp_path / "cache-home" / "nothing").exists()


def test_links_are_played_and_told(
    clip: Path, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "numbers.json"
    arguments = ["{clip}", *TWO, "--analysis-fps", "10", "--systems", "edge", "--link", "5g"]
    arguments += ["--budget-kb-per-s", "100", "--json", str(out)]
    assert call(arguments, clip=clip, light=light, heavy=heavy) == 0
    assert "Secondlook over links" in capsys.readouterr().out
    data = json.loads(out.read_text())
    (link,) = data["links"]
    assert (link["link"], link["frames_due"]) == ("5g", 12)
    assert link["most_kb_in_60_s"] < link["budget_kb_in_60_s"] == 7000.0
    assert data["budget"]["kb_per_s"] == 100.0
