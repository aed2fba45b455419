from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from secondlook.cli.bench.command import bench
from secondlook.cli.bench.prefetch.command import compare
from secondlook.cli.bench.prefetch.simulate import Oracle, Server, simulate
from secondlook.cli.bench.prefetch.traces import PATTERNS, Pattern, Trace, read_trace
from secondlook.cloud.prefetch import LeastRecent
from secondlook.shared.errors import InvalidInput

BY_NAME = {pattern.name: pattern for pattern in PATTERNS}


def trace(*requests: tuple[float, str]) -> Trace:
    return Trace("t", "", list(requests))


def server(room: float, load_s: float = 2.0) -> Server:
    return Server(room, dict.fromkeys("abc", 1.0), dict.fromkeys("abc", load_s))


def test_waits_are_those_of_a_single_loader() -> None:
    # a: 2 s. b is asked for while a loads: 3 s. The second a is there. The third one waits with b.
    found = simulate(
        trace((0.0, "a"), (1.0, "b"), (2.5, "a"), (3.5, "b")), server(2), LeastRecent()
    )
    assert found.requests == 4
    assert found.hit_rate == 0.25
    assert found.mean_wait_s == pytest.approx((2 + 3 + 0 + 0.5) / 4)
    assert found.loads == 2


def test_the_least_recent_makes_room() -> None:
    found = simulate(
        trace((0.0, "a"), (5.0, "b"), (10.0, "c"), (15.0, "b"), (20.0, "a")),
        server(2),
        LeastRecent(),
    )
    assert found.loads == 4
    assert found.hit_rate == 0.2


def test_an_oracle_never_misses_where_there_is_time() -> None:
    times = trace(*((10.0 * n + 9, "abc"[n % 3]) for n in range(30)))
    found = simulate(times, server(2), Oracle(times))
    assert found.hit_rate == 1.0
    assert found.ahead == found.loads


def test_structure_is_found_and_pays() -> None:
    found = compare(BY_NAME["periodic"].trace(0, 9, 1500), 3.0, 0)
    assert found.misses_saved is not None
    assert found.misses_saved > 0.2
    results = found.results
    assert results["lru"].hit_rate < results["forecast"].hit_rate < results["oracle"].hit_rate


def test_without_structure_little_is_lost() -> None:
    found = compare(BY_NAME["uniform"].trace(0, 9, 1200), 3.0, 0)
    assert found.misses_saved is not None
    assert found.misses_saved > -0.1
    assert found.results["forecast"].wasted <= 0.05 * found.results["lru"].loads


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.name)
def test_traces_are_in_order_and_the_same_for_the_same_seed(pattern: Pattern) -> None:
    made = pattern.trace(3, 12, 900.0)
    assert made.requests == pattern.trace(3, 12, 900.0).requests
    times = [at_s for at_s, _ in made.requests]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < 902
    assert len(made.models) > 3


def test_the_command_prints_and_writes_its_numbers(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(f'{{"at_s": {9 * n}, "model": "m{n % 5}"}}\n' for n in range(60)))
    out = tmp_path / "out.json"
    arguments = ["prefetch", "--trace", str(file), "--only", "mine", "--json", str(out)]
    run = CliRunner().invoke(bench, [*arguments, "--room", "2"])
    assert run.exit_code == 0, run.output
    assert "mine" in run.output
    (row,) = json.loads(out.read_text())
    assert set(row["results"]) == {"lru", "forecast", "oracle"}
    assert row["results"]["lru"]["requests"] == 60


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "3", '{"at_s": 1}', '{"at_s": "1", "model": "a"}', '{"at_s": NaN, "model": "a"}'],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"at_s": 1, "model": "a"}\n' + line + "\n")
    with pytest.raises(InvalidInput, match=r"bad\.jsonl:2"):
        read_trace(file)


def test_an_unknown_trace_is_refused() -> None:
    run = CliRunner().invoke(bench, ["prefetch", "--only", "nothing"])
    assert run.exit_code == 2
    assert "periodic" in run.output
