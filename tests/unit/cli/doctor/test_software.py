"""The libraries."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.doctor import Results

from secondlook.cli.doctor.chain import run_chain
from secondlook.cli.doctor.result import Status
from secondlook.cli.doctor.software import LIBRARIES, Library, check_library, software_checks

pytestmark = pytest.mark.anyio


async def test_everything_here_is_found_with_its_version() -> None:
    results = Results()
    checks = [check for check, _ in software_checks(["edge", "cloud"])]
    assert await run_chain(checks, 60.0, results)
    assert len(results) == len(LIBRARIES) + 1
    assert {r.status for r in results} == {Status.OK}
    assert "CPU" in results.of("software: ONNX Runtime").detail
    assert any(c.isdigit() for c in results.of("software: PyAV").detail)


async def test_a_missing_library_of_an_extra_matters_only_where_it_is_needed() -> None:
    absent = Library("Absent", "no_such_module_at_all", ("absent",), "edge", "seeing")
    spared = await check_library("x", absent, frozenset({"cloud"}))
    assert spared.status is Status.WARN
    needed = await check_library("x", absent, frozenset({"edge"}))
    assert needed.status is Status.FAIL
    assert needed.exit_code == 3
    assert "pip install 'secondlook[edge]'" in needed.remedy


async def test_a_missing_base_library_is_a_failure() -> None:
    absent = Library("Absent", "no_such_module_at_all", ("absent",), "", "running")
    result = await check_library("x", absent, frozenset())
    assert (result.status, result.exit_code) == (Status.FAIL, 3)


@pytest.mark.parametrize(
    ("body", "told", "remedy"),
    [
        ("import another_missing_module", "cannot be imported", "force-reinstall"),
        ("raise ImportError('libGL.so.1: cannot open')", "libGL.so.1", "headless"),
        ("raise ImportError", "ImportError", "force-reinstall"),
    ],
)
async def test_a_broken_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, told: str, remedy: str
) -> None:
    (tmp_path / "broken_library.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    broken = Library("Broken", "broken_library", ("broken",), "edge", "seeing")
    result = await check_library("x", broken, frozenset())
    assert result.status is Status.FAIL
    assert told in result.detail
    assert remedy in result.remedy


async def test_two_wheels_of_one_library_are_noticed() -> None:
    doubled = Library("Doubled", "anyio", ("anyio", "click"), "", "testing")
    result = await check_library("x", doubled, frozenset())
    assert result.status is Status.WARN
    assert "overwrite" in result.detail
