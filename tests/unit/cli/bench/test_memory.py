"""`secondlook bench memory` measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import anyio.lowlevel
import pytest
from click.testing import CliRunner
from support.redis import redis_server

from secondlook.cli.bench.command import bench
from secondlook.cli.bench.memory.callers import load
from secondlook.cli.bench.memory.documents import document
from secondlook.shared.memory.record import encode

SHORT = ["--records", "2000", "--seconds", "0.1", "--rounds", "1", "--callers", "1,2"]


def test_every_ratio_is_that_of_its_parts(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    with redis_server() as redis:
        arguments = ["memory", "--redis", redis.url, *SHORT, "--json", str(out)]
        result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(out.read_text())
    for callers in ("1", "2"):
        for store in ("redis", "sqlite"):
            loads = said[store][callers]
            ratio = loads["store"]["per_s"] / loads["bare"]["per_s"]
            assert said[f"{store}_ratio"][callers] == pytest.approx(ratio)
        remote = said["remote"][callers]
        parts = remote["echo"]["p50_ms"] + remote["redis"]["p50_ms"]
        assert said["remote_ratio"][callers] == pytest.approx(remote["remote"]["p50_ms"] / parts)
    for store in ("redis", "sqlite"):
        assert [sync["records"] for sync in said["syncs"][store]] == [1000, 2000]
    assert said["bytes_per_record"] > 100
    assert "memory of Redis for a record" in result.output


@pytest.mark.parametrize("callers", ["", "0", "1,-8", "many"])
def test_numbers_of_callers_that_make_no_sense_are_told(callers: str) -> None:
    result = CliRunner().invoke(bench, ["memory", "--callers", callers])
    assert result.exit_code == 2
    assert "--callers" in result.output


def test_documents_differ_and_have_the_size_of_verdicts() -> None:
    sizes = [len(encode(document(number))) for number in range(100)]
    assert 500 < min(sizes) <= max(sizes) < 900
    assert len({encode(document(number)) for number in range(100)}) == 100
    assert document(7) == document(7)


@pytest.mark.anyio
async def test_each_caller_sends_its_own_requests() -> None:
    counts = [0, 0, 0]

    def caller(index: int) -> object:
        async def request() -> None:
            counts[index] += 1
            await anyio.lowlevel.checkpoint()

        return request

    found = await load([caller(index) for index in range(3)], 0.01)  # type: ignore[misc]
    assert min(counts) >= 1
    assert found.per_s > 0
    assert found.p50_ms <= found.p95_ms
