"""`secondlook bench serve` measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.bench_models import FOLDER, MODELS

from secondlook.cli.bench.command import bench
from secondlook.cli.bench.serve import h2load
from secondlook.cli.bench.serve.callers import Turn
from secondlook.cli.bench.serve.report import aims
from secondlook.cli.bench.serve.rows import Key, Row
from secondlook.cli.bench.serve.run import Found
from secondlook.shared.errors import Unavailable

SHORT = ["--seconds", "0.1", "--rounds", "1", "--callers", "2"]


def test_every_part_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(bench, ["serve", *SHORT, "--json", str(out)])
    assert result.exit_code == 0, result.output
    said = json.loads(out.read_text())
    rows = {(row["job"], row["server"], row["way"]): row for row in said["rows"]}
    assert set(rows) == {
        ("tiny", "bare", "unary"),
        ("tiny", "secondlook", "unary"),
        ("tiny", "secondlook", "stream"),
        ("60 kB", "bare", "unary"),
        ("60 kB", "secondlook", "unary"),
        ("60 kB", "secondlook", "stream"),
        ("JPEG", "loop", ""),
        ("JPEG", "bare", "unary"),
        ("JPEG", "secondlook", "unary"),
        ("tiny, one port", "secondlook", "unary"),
        ("tiny, one port", "secondlook x2", "unary"),
    }
    for row in said["rows"]:
        assert row["per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
    ratio = next(aim for aim in said["aims"] if "CPU" in aim["of"])
    bare, ours = rows["tiny", "bare", "unary"], rows["tiny", "secondlook", "unary"]
    assert ratio["ratio"] == pytest.approx(ours["cpu_ms"] / bare["cpu_ms"], abs=0.01)
    assert said["picture_bytes"] > 1000
    assert len(rows["tiny, one port", "secondlook x2", "unary"]["cores"]) == 2
    assert said["asked_by"].startswith("h2load") == h2load.installed()
    assert "ratios" in result.output


H2LOAD = """\
finished in 996.50ms, 2092.00 req/s, 299.13KB/s
requests: 2092 total, 2096 started, 2092 done, 2092 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 2092 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 299.13KB (306314) total, 6.42KB (6576) headers (space savings 96.12%), 177KB (182004) data
"""


def test_what_h2load_tells_is_understood() -> None:
    assert h2load.checked(H2LOAD, 87) == pytest.approx(0.9965)
    assert h2load.durations_s("17\t200\t1782\n18\t200\t90\n") == pytest.approx([0.001782, 0.00009])
    assert h2load.framed(b"abc") == b"\0\0\0\0\x03abc"


@pytest.mark.parametrize(
    "told",
    [
        "some other program",
        # Errors of gRPC are successes of HTTP without data.
        H2LOAD.replace("(182004) data", "(1000) data"),
        H2LOAD.replace("0 failed", "1 failed"),
        H2LOAD.replace("0 errored", "1 errored"),
        H2LOAD.replace("2092 done, 2092", "0 done, 0"),
        H2LOAD.replace("2092 succeeded", "2091 succeeded"),
    ],
)
def test_requests_that_were_not_answered_well_are_no_measurement(told: str) -> None:
    with pytest.raises(Unavailable):
        h2load.checked(told, 87)


def row(*turns: tuple[float, float]) -> Row:
    """Turns of one second, by requests and processor seconds."""
    return Row([Turn([1 / n] * int(n), 1.0, cpu_s) for n, cpu_s in turns])


def test_ratios_are_of_the_same_round_and_the_median_counts() -> None:
    # In the second round the machine was busy: both were slow, and the ratio is as before.
    found = Found(1, "model.onnx")
    found.rows[Key("tiny", "bare", "unary", 1)] = row((100, 0.1), (10, 0.1), (100, 0.1))
    found.rows[Key("tiny", "secondlook", "unary", 1)] = row((80, 0.1), (8, 0.1), (50, 0.2))
    found.rows[Key("tiny", "secondlook", "stream", 1)] = row((160, 0.1), (8, 0.1), (60, 0.1))
    told = {aim.of.partition(": ")[2]: aim for aim in aims(found)}
    assert told["CPU of a request / bare"].ratio == pytest.approx(1.25)
    assert not told["CPU of a request / bare"].holds
    assert told["requests/s, stream / unary"].ratio == pytest.approx(1.2)


@pytest.mark.parametrize("name", MODELS)
def test_the_networks_are_what_their_script_writes(name: str) -> None:
    assert (FOLDER / name).read_bytes() == MODELS[name]().SerializeToString()


@pytest.mark.parametrize("callers", ["", "0", "1,-8", "many"])
def test_numbers_of_callers_that_make_no_sense_are_told(callers: str) -> None:
    result = CliRunner().invoke(bench, ["serve", "--callers", callers])
    assert result.exit_code == 2
    assert "--callers" in result.output
