"""`secondlook bench trust` measures what it says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from secondlook.cli.bench.command import bench
from secondlook.cli.bench.trust.alarms import FalseAlarms, cases, first_alarm, notice
from secondlook.cli.bench.trust.outcomes import read_outcomes, resampled
from secondlook.cli.bench.trust.promise import (
    Promise,
    audited,
    escalated_share,
    keep_promise,
    lost_share,
)
from secondlook.cli.bench.trust.report import TrustBench, broken
from secondlook.cli.bench.trust.scenes import Scene, blur, night, shift
from secondlook.cli.bench.trust.streams import SETTINGS, Setting, Stream, steady
from secondlook.cli.main import run
from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust import Monitor, TrustSettings

GRID = (0.0, 0.1, 0.5, 1.0)
INF = math.inf


def test_the_command_prints_every_setting_and_writes_the_same_numbers(tmp_path: Path) -> None:
    out = tmp_path / "trust.json"
    arguments = ["trust", "--streams", "6", "--frames", "30000", "--seed", "3", "--json", str(out)]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(out.read_text())
    assert [row["name"] for row in said["promises"]] == [setting.name for setting in SETTINGS]
    assert {row["streams"] for row in said["promises"]} == {6}
    by_name = {row["name"]: row for row in said["promises"]}
    assert by_name["short"]["certified"] == 0
    assert by_name["short"]["escalation"] == 1
    assert by_name["hopeless"]["oracle_escalation"] == 1
    steady_row = by_name["steady"]
    assert steady_row["excess"] == pytest.approx(
        steady_row["escalation"] - steady_row["oracle_escalation"]
    )
    assert [row["audits"] for row in said["audits_needed"]] == [299, 773, 2546]
    assert len(said["alarms"]) == 7
    for word in ("steady", "night", "blur", "shift", "false alarms", "plain estimate breaks it"):
        assert word in result.output
    again = tmp_path / "again.json"
    CliRunner().invoke(bench, [*arguments[:-1], str(again)])
    assert json.loads(again.read_text()) == said


def test_truth_is_counted_over_all_frames() -> None:
    lowest = np.array([INF, 0.0, 0.1, 0.3, INF])
    assert lost_share(lowest, np.array(GRID)).tolist() == [0, 0.2, 0.6, 0.6]
    highest = np.array([-1.0, 0.1, 0.1, 0.5, 0.7])
    assert escalated_share(highest, np.array(GRID)).tolist() == [1, 0.8, 0.4, 0]
    assert np.isnan(escalated_share(np.full(3, np.nan), np.array(GRID))).all()


def test_the_coin_picks_frames_at_their_probability() -> None:
    count = 200_000
    lowest = np.where(np.arange(count) % 10 == 0, 0.05, INF)
    probability = np.where(np.arange(count) % 2 == 0, 0.02, 1.0)
    stream = Stream(lowest, np.full(count, -1.0), probability)
    counts = audited(stream, GRID, np.random.default_rng(0))
    assert (counts.frames, counts.known, counts.known_looks) == (count, count // 2, count // 2)
    assert counts.audits == pytest.approx(2000, abs=200)
    assert counts.misses[1] / counts.audits == pytest.approx(0.2, abs=0.04)
    assert counts.known_misses.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_streams_are_what_they_say(setting: Setting) -> None:
    rng = np.random.default_rng(1)
    stream = setting.make(rng, 40_000, 0.01, 0.01)
    for values in (stream.lowest, stream.highest, stream.probability):
        assert values.shape == (40_000,)
    finite = stream.lowest[np.isfinite(stream.lowest)]
    assert ((finite >= 0) & (finite <= 1)).all()
    assert ((stream.highest == -1) | ((stream.highest >= 0) & (stream.highest <= 1))).all()
    # What covers a missed object is a candidate.
    covered = np.isfinite(stream.lowest) & (stream.lowest > 0)
    assert (stream.highest[covered] >= stream.lowest[covered]).all()
    assert ((stream.probability > 0) & (stream.probability <= 1)).all()
    if setting.name == "edge":
        assert lost_share(stream.lowest, np.array([0.0, 0.001]))[1] > 0.01
    if setting.name == "unequal":
        assert set(np.unique(stream.probability)) == {0.01, 0.03}


def test_the_certificate_holds_where_the_plain_estimate_does_not() -> None:
    settings = TrustSettings(window_frames=40_000)
    edge = next(setting for setting in SETTINGS if setting.name == "edge")
    found = keep_promise(edge, settings, 150, (9,), lambda: None)
    # 400 audits: only none of them may miss, which has a probability of 1.8 %.
    assert found.violations <= settings.delta
    assert found.violations == found.certified
    assert found.naive_violations > 0.3
    assert found.oracle_escalation == 1


def test_changes_raise_the_losses_at_a_threshold() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(miss=0.02)
    before = scene.loss_at(0.12, rng)
    for change in (night, blur, shift):
        assert change(scene).loss_at(0.12, rng) > 1.5 * before
    found = cases(0.01, 0.12, 500, 0)
    assert [case.calm for case in found] == [500] * 3 + [0] * 4
    assert all(case.before == pytest.approx(0.005, rel=0.05) for case in found[:3])
    assert [case.after for case in found[3:]] == pytest.approx([0.02, 0.03, 0.05, 0.1])


@pytest.mark.parametrize("seed", range(6))
def test_whole_runs_alarm_where_the_monitor_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = np.r_[rng.random(900) < 0.004, rng.random(1500) < 0.03]
    monitor, at = Monitor(0.01, 0.05), INF
    for number, lost in enumerate(losses, 1):
        if monitor.add(bool(lost)):
            at = float(number)
            break
    assert first_alarm(losses, 0.01, 0.05) == at
    assert first_alarm(losses[:50] & False, 0.01, 0.05) == INF


def test_delays_count_from_the_change() -> None:
    case = cases(0.01, 0.12, 300, 0)[0]
    found = notice(case, 0.01, 0.05, 20, (1,), lambda: None)
    assert found.noticed == 1
    assert 50 < found.median < found.p90 < 3000
    assert found.false_alarms <= 0.1


def test_a_promise_is_called_broken_only_beyond_chance() -> None:
    def promise(violations: float) -> Promise:
        return Promise("x", "", 500, 0, 0, violations, 0, 0, 0, 0)

    def bench_of(violations: float, alarms: float) -> TrustBench:
        quiet = (FalseAlarms(0.01, 1000, 500, alarms),)
        return TrustBench(TrustSettings(), 0, (promise(violations),), (), quiet)

    assert broken(bench_of(0.05, 0.05)) == []
    assert broken(bench_of(0.06, 0.05)) == []
    assert broken(bench_of(0.12, 0.05)) == ["x: 12.0% of 500, at most 5.0% expected"]
    assert broken(bench_of(0.0, 0.2)) == [
        "false alarms at 1.00%: 20.0% of 500, at most 5.0% expected"
    ]


# Real outcomes


def outcomes(path: Path, lines: list[Any]) -> Path:
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return path


def test_real_outcomes_are_resampled_in_blocks(tmp_path: Path) -> None:
    lines: list[Any] = [{"lowest_risk": n / 1000, "highest_risk": 0.9} for n in range(150)]
    lines[7] = {"lowest_risk": None, "highest_risk": None}
    lines.insert(3, "")
    lowest, highest = read_outcomes(outcomes(tmp_path / "audits.jsonl", lines))
    assert (len(lowest), lowest[7], highest[7], highest[8]) == (150, INF, -1.0, 0.9)
    stream = resampled(lowest, highest, 25)(np.random.default_rng(0), 1000, 0.02, 0.01)
    assert stream.lowest.shape == (1000,)
    assert set(stream.lowest) <= set(lowest)
    # Within a block, what followed still follows.
    rows = np.where(np.isfinite(stream.lowest), np.round(stream.lowest * 1000), 7).astype(int)
    assert ((rows[1:25] - rows[:24]) % 150 == 1).all()
    assert set(np.unique(stream.probability)) == {0.02}


def test_the_command_takes_real_outcomes(tmp_path: Path) -> None:
    lines = [{"lowest_risk": 0.4 if n % 40 == 0 else None} for n in range(400)]
    path = outcomes(tmp_path / "audits.jsonl", lines)
    out = tmp_path / "out.json"
    arguments = ["trust", "--streams", "3", "--frames", "50000", "--outcomes", str(path)]
    result = CliRunner().invoke(bench, [*arguments, "--json", str(out)])
    assert result.exit_code == 0, result.output
    real = json.loads(out.read_text())["promises"][-1]
    assert (real["name"], real["certified"], real["violations"]) == ("real", 1, 0)
    alone = tmp_path / "alone.json"
    result = CliRunner().invoke(bench, [*arguments, "--only", "real", "--json", str(alone)])
    assert result.exit_code == 0, result.output
    said = json.loads(alone.read_text())
    assert (said["promises"], said["alarms"], said["false_alarms"]) == ([real], [], [])
    result = CliRunner().invoke(bench, ["trust", "--only", "surreal"])
    assert result.exit_code == 2
    assert "'surreal' is none of steady, edge" in result.output
    assert real["escalation"] is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 3"),
        ("[]", "lowest_risk"),
        ('{"lowest_risk": NaN}', "lowest risk"),
        ('{"lowest_risk": -1}', "lowest risk"),
        ('{"lowest_risk": 2}', "lowest risk"),
        ('{"lowest_risk": "0.1"}', "lowest risk"),
        ('{"highest_risk": 0.1}', "lowest_risk"),
        ('{"lowest_risk": 0.1, "highest_risk": "x"}', "line 3"),
        ('{"lowest_risk": 0.1, "highest_risk": 7}', "highest risk"),
        ("[" * 100_000, "line 3"),
    ],
)
def test_damaged_outcomes_are_refused_with_their_line(tmp_path: Path, line: str, why: str) -> None:
    good: list[Any] = [{"lowest_risk": None}] * 200
    path = outcomes(tmp_path / "audits.jsonl", [*good[:2], line, *good])
    with pytest.raises(InvalidInput, match=why):
        read_outcomes(path)


def test_too_few_outcomes_and_other_files_are_refused(tmp_path: Path) -> None:
    few = outcomes(tmp_path / "few.jsonl", [{"lowest_risk": None}] * 99)
    with pytest.raises(InvalidInput, match="99 outcomes; 100 or more"):
        read_outcomes(few)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (binary, tmp_path):
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_outcomes(path)


@pytest.mark.parametrize(
    "options", [["--alpha", "0"], ["--alpha", "nan"], ["--delta", "0.9"], ["--audit-rate", "2"]]
)
def test_promises_that_make_no_sense_are_told(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "trust", *options]) == 2
    assert options[0].lstrip("-").replace("-", "_") in capsys.readouterr().err


def test_steady_streams_differ() -> None:
    one, other = (steady(np.random.default_rng(n), 1000, 0.01, 0.01) for n in (1, 2))
    assert not np.array_equal(one.lowest, other.lowest)
