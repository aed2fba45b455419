"""``secondlook calibrate`` on painted clips: from footage to a gate that runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.networks import write_bright_spot_model

from secondlook.cli.calibrate import command as command_module
from secondlook.cli.calibrate.run import _carries_over, _without_learned_sights
from secondlook.cli.main import EXIT_INTERRUPTED, EXIT_UNREACHABLE, EXIT_USAGE, run
from secondlook.edge.gate.gate_file import GateFile, load_gate, parse_gate
from secondlook.edge.gate.gate_parts import BranchChoice, ClipScore
from secondlook.edge.gate.opening import open_gate
from secondlook.edge.gate.risk import RiskModel, cold_start
from secondlook.edge.pipeline_settings import GateSettings, PipelineSettings
from secondlook.shared.detect.network_detector import NetworkDetector
from secondlook.shared.values import Detections

Clips = tuple[Path, Path]


def arguments(clips: tuple[Path, ...], light: Path, heavy: Path, out: Path) -> list[str]:
    return [
        "calibrate",
        *map(str, clips),
        "--edge-model", str(light), "--cloud-model", str(heavy),
        "--analysis-fps", "10", "--promise-frames", "8", "--thresholds", "0.12,0.9",
        "--set", "trust.audit_rate=0", "--out", str(out), "--cache", str(out.parent / "cache"),
    ]  # fmt: skip


def test_a_gate_is_written_and_runs(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gate.json"
    assert run([*arguments(clips, light, heavy, out), "--json", "--note", "two yards"]) == 0
    said = capsys.readouterr()
    gate = load_gate(out)
    assert parse_gate(said.out) == gate
    assert "left out" in said.err
    assert (gate.light.name, gate.heavy.name, gate.note) == ("light", "heavy", "two yards")
    assert [clip.name for clip in gate.clips] == ["north.mp4", "south.mp4"]
    assert all(clip.frames == 16 and clip.content.startswith("file ") for clip in gate.clips)
    assert all(clip.analysis_fps == 10.0 and clip.size == (160, 96) for clip in gate.clips)
    assert all(clip.modified.endswith("+00:00") for clip in gate.clips)
    assert gate.classes == ("person", "car", "bottle")
    # The light model's person scores 0.28: below what people take by itself.
    for score in gate.scores:
        assert score.plain < score.cold <= 1.0
        assert score.left_out is not None
    promise = gate.promise
    assert promise is not None
    assert [point.threshold for point in promise.points] == [0.12, 0.9]
    assert [clip.clip for clip in promise.clips] == ["north.mp4", "south.mp4"]
    asking, silent = promise.points
    assert asking.frames == silent.frames == 16
    assert 0.9 < asking.f1 <= 1.0
    assert asking.f1 >= silent.f1
    assert asking.kb_per_frame >= silent.kb_per_frame
    # Each clip begins with a whole picture; at 0.9 nothing more is asked.
    assert silent.inferences_per_frame == pytest.approx(2 / 16)
    assert silent.start_kb > 0
    assert asking.miss_rate <= 1 - asking.recall + 1e-9 or asking.miss_rate <= 1
    assert promise.settings["gate.again_s"] == PipelineSettings().gate.again_s
    opened = open_gate(PipelineSettings(gate=GateSettings(file=str(out))))
    assert opened.risk == gate.risk.risk()
    assert opened.differences() == ["trust.audit_rate is 0.01, the promise was measured with 0.0"]


def test_what_the_models_said_is_kept(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*arguments(clips, light, heavy, tmp_path / "gate.json"), "--no-promise"]
    assert run(given) == 0
    first = load_gate(tmp_path / "gate.json")
    detect = NetworkDetector.detect

    def never(self: NetworkDetector, images: list[np.ndarray], *more: float) -> list[Detections]:
        # Only the black picture that warms a network up.
        assert not any(image.any() for image in images)
        return detect(self, images, *more)

    monkeypatch.setattr(NetworkDetector, "detect", never)
    assert run(given) == 0
    assert load_gate(tmp_path / "gate.json").fingerprint == first.fingerprint
    assert first.promise is None


def test_footage_that_is_held_out_teaches_nothing(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gate.json"
    given = arguments(clips[:1], light, heavy, out)
    assert run([*given, "--holdout", str(clips[1]), "--accuracy", "0.5"]) == 0
    gate = load_gate(out)
    assert [clip.held_out for clip in gate.clips] == [False, True]
    assert {choice.basis for choice in gate.choices.values()} == {"cold start"}
    assert gate.promise is not None
    assert [clip.clip for clip in gate.promise.clips] == ["south.mp4"]
    assert "held out" in gate.promise.how
    assert gate.goal.met
    assert gate.threshold == 0.9


def test_one_camera_learns_from_blocks_of_its_time(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gate.json"
    assert run([*arguments(clips[:1], light, heavy, out), "--same-cameras"]) == 0
    gate = load_gate(out)
    assert gate.choices["present"].rows > 16
    assert gate.promise is not None
    assert "what came before" in gate.promise.how
    assert gate.promise.points[0].frames == 8


def test_a_goal_out_of_reach_is_said(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gate.json"
    given = arguments(clips[:1], light, heavy, out)
    assert run([*given, "--budget-kb-per-frame", "0.000001"]) == 0
    gate: GateFile = load_gate(out)
    assert gate.threshold == 0.9
    assert gate.goal.met == (gate.promise is not None and gate.promise.points[1].kb_per_frame == 0)
    assert ("No threshold gave" in capsys.readouterr().out) is not gate.goal.met


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--budget-kb-per-frame", "1", "--accuracy", "0.9"], "give one of them"),
        (["--no-promise", "--accuracy", "0.9"], "--no-promise"),
        (["--thresholds", "a"], "--thresholds"),
        (["--thresholds", "0"], "--thresholds"),
        (["--set", "gate.nothing=1"], "gate.nothing"),
        (["--classes", "unicorn"], "unicorn"),
    ],
)
def test_what_cannot_work_is_said(
    more: list[str],
    said: str,
    clips: Clips,
    light: Path,
    heavy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "gate.json"
    assert run([*arguments(clips, light, heavy, out), *more]) == EXIT_USAGE
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_clips_that_cannot_be_read(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gate.json"
    empty = tmp_path / "empty.mp4"
    empty.touch()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips[0].read_bytes()[:600])
    for bad, code, said in (
        (tmp_path / "none.mp4", EXIT_USAGE, "none.mp4 does not exist"),
        (empty, EXIT_USAGE, "empty.mp4 is empty"),
        (clips[0], EXIT_USAGE, "given twice"),
        (broken, EXIT_UNREACHABLE, "broken.mp4"),
    ):
        assert run(arguments((clips[0], bad), light, heavy, out)) == code
        assert said in capsys.readouterr().err
    assert not out.exists()


def test_an_out_that_cannot_be_written_is_found_before_anything_runs(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.onnx"
    for out in (tmp_path, tmp_path / "no" / "gate.json"):
        assert run(arguments(clips, missing, missing, out)) == EXIT_USAGE
        assert "--out" in capsys.readouterr().err
    assert run(arguments(clips, missing, missing, tmp_path / "gate.json")) == EXIT_USAGE
    assert "--edge-model" in capsys.readouterr().err


def test_models_without_a_common_class(
    clips: Clips, heavy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = write_bright_spot_model(tmp_path / "strange.onnx", names=("elf", "orc", "ent"))
    assert run(arguments(clips, strange, heavy, tmp_path / "gate.json")) == EXIT_USAGE
    assert "no class in common" in capsys.readouterr().err


def test_an_interrupt_leaves_no_half_file(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "gates" / "gate.json"
    out.parent.mkdir()
    monkeypatch.setattr(command_module, "calibrate", interrupted)
    monkeypatch.setattr(command_module.anyio, "run", interrupted)
    assert run(arguments(clips, light, heavy, out)) == EXIT_INTERRUPTED
    assert list(out.parent.iterdir()) == []


def test_the_json_of_the_file_is_json_of_the_document(
    clips: Clips, light: Path, heavy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gate.json"
    assert run([*arguments(clips, light, heavy, out), "--no-promise"]) == 0
    data = json.loads(out.read_text())
    assert (data["format"], data["schema"]) == ("secondlook-gate", 1)
    assert str(tmp_path) not in out.read_text()


def test_a_model_that_fails_a_clip_left_out_is_not_taken() -> None:
    served = ClipScore(clip="a", plain=0.5, cold=0.8, trained=0.9, left_out=0.795)
    failed = served.model_copy(update={"left_out": 0.78})
    alone = served.model_copy(update={"left_out": None})
    assert [_carries_over(score) for score in (served, failed, alone)] == [True, False, True]
    cold = cold_start()
    learned = RiskModel(cold.same_class, cold.present, cold.refuted, cold.confirmed)
    choice = BranchChoice(
        basis="rich", penalty=2.0, rows=9, loss=0.1, cold_loss=0.2, worst_gain=0.1
    )
    names = ("present", "same_class", "confirmed", "refuted")
    risk, choices = _without_learned_sights(learned, dict.fromkeys(names, choice))
    assert (risk.present, risk.same_class) == (cold.present, cold.same_class)
    assert (risk.confirmed, risk.refuted) == (cold.refuted, cold.confirmed)
    assert [choices[name].basis for name in names] == ["cold start"] * 2 + ["rich"] * 2
