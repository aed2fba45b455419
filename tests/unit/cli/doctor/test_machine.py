"""Clocks and disks."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from secondlook.cli.doctor import machine
from secondlook.cli.doctor.machine import check_clock, check_writable
from secondlook.cli.doctor.result import CheckResult, Status
from secondlook.shared.clock import ManualClock, SystemClock


def disk(path: Path, *, is_folder: bool) -> CheckResult:
    """The check, run to its end."""
    return anyio.run(partial(check_writable, "disk", path, is_folder=is_folder))


@pytest.mark.anyio
async def test_this_machines_clock_is_good() -> None:
    result = await check_clock("clock", SystemClock())
    assert result.status is Status.OK
    assert "UTC" in result.detail


@pytest.mark.parametrize("wall_s", [0.0, 1_500_000_000.0, 5e9, 1e18, -1e18])
@pytest.mark.anyio
async def test_a_date_that_cannot_be(wall_s: float) -> None:
    result = await check_clock("clock", ManualClock(wall_s=wall_s))
    assert result.status is Status.FAIL
    assert "which cannot be" in result.detail
    assert "ntp" in result.remedy


@pytest.mark.anyio
async def test_a_clock_that_goes_backwards() -> None:
    class Broken(ManualClock):
        def monotonic(self) -> float:
            self._monotonic_s -= 1.0
            return self._monotonic_s

    result = await check_clock("clock", Broken(wall_s=1.8e9))
    assert result.status is Status.FAIL
    assert "backwards" in result.detail


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_writable_place_is_left_as_it_was(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path if is_folder else tmp_path / "events.jsonl"
    result = disk(path, is_folder=is_folder)
    assert result.status in (Status.OK, Status.WARN)
    assert "free" in result.detail
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_will_be_created_is_not_created_now(tmp_path: Path) -> None:
    result = disk(tmp_path / "a" / "b" / "f.db", is_folder=False)
    assert result.status in (Status.OK, Status.WARN)
    assert "will be created" in result.detail
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_and_the_reverse(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    for path, is_folder in ((file, True), (tmp_path, False), (file / "under", False)):
        result = disk(path, is_folder=is_folder)
        assert result.status is Status.FAIL
        assert result.exit_code == 2


def test_an_impossible_path(tmp_path: Path) -> None:
    result = disk(tmp_path / ("x" * 5000), is_folder=True)
    assert result.status is Status.FAIL


def test_a_place_that_may_not_be_written() -> None:
    # Root may write anywhere but to what the kernel itself serves.
    result = disk(Path("/proc/secondlook/events.jsonl"), is_folder=False)
    assert result.status is Status.FAIL
    assert "cannot be written" in result.detail
    assert "right to write" in result.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        result = disk(tmp_path / "f", is_folder=False)
    finally:
        tmp_path.chmod(0o700)
    assert result.status is Status.FAIL


@pytest.mark.parametrize(
    ("free", "status"), [(1 << 20, Status.FAIL), (500 << 20, Status.WARN), (1 << 40, Status.OK)]
)
def test_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: Status
) -> None:
    usage = SimpleNamespace(total=1 << 41, used=0, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    result = disk(tmp_path, is_folder=True)
    assert result.status is status


def test_sizes_are_readable() -> None:
    assert [machine._size(n) for n in (0, 2048, 3 << 30, 5 << 40)] == [
        "0 B",
        "2 KiB",
        "3 GiB",
        "5.0 TiB",
    ]
