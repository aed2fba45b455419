"""This machine: its clocks, and the disks that settings name."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from secondlook.cli.doctor.result import CheckResult, fail, ok, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.main import EXIT_USAGE
from secondlook.shared.clock import Clock

RELEASED_S = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
"""No wall clock is right that is earlier than the code itself."""

FAR_S = datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()

LITTLE_BYTES = 1 << 30
TOO_LITTLE_BYTES = 64 << 20

_READINGS = 1000


async def check_clock(name: str, clock: Clock) -> CheckResult:
    """Durations do not go backwards, and the date can be true."""
    readings = [clock.monotonic() for _ in range(_READINGS)]
    if any(later < earlier for earlier, later in itertools.pairwise(readings)):
        return fail(
            name, "the monotonic clock went backwards", "the kernel's clock source is broken"
        )
    wall_s = clock.wall()
    if not RELEASED_S <= wall_s <= FAR_S:
        shown = time.strftime("%Y-%m-%d", time.gmtime(wall_s)) if abs(wall_s) < 1e11 else wall_s
        return fail(
            name,
            f"the date is {shown}, which cannot be",
            "set the time (timedatectl set-ntp true); certificates and records depend on it",
        )
    shown = datetime.fromtimestamp(wall_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    resolution_ns = time.get_clock_info("monotonic").resolution * 1e9
    return ok(name, f"{shown}; monotonic to {resolution_ns:.0f} ns")


async def check_writable(name: str, path: Path, *, is_folder: bool) -> CheckResult:
    """Whether a file (or a folder's content) can be written at ``path``, and how much.

    Nothing of the user's is created or touched: a temporary file is written beside it.
    """
    return await in_thread(lambda: _check_writable(name, path, is_folder=is_folder))


def _check_writable(name: str, path: Path, *, is_folder: bool) -> CheckResult:
    path = path.absolute()
    try:
        kind_is_wrong = path.exists() and path.is_dir() is not is_folder
        folder = path if is_folder else path.parent
        standing = _nearest_existing(folder)
    except OSError as error:
        return fail(name, f"{path}: {error.strerror}", "correct the path", EXIT_USAGE)
    if kind_is_wrong:
        found, wanted = ("a file", "a folder") if is_folder else ("a folder", "a file")
        return fail(name, f"{path} is {found}, {wanted} expected", "correct the path", EXIT_USAGE)
    if not standing.is_dir():
        return fail(name, f"{standing} is no folder", "correct the path", EXIT_USAGE)
    if not is_folder and path.exists() and not os.access(path, os.W_OK):
        return fail(name, f"{path} may not be written", _permission_remedy(path))
    try:
        with tempfile.NamedTemporaryFile(dir=standing, prefix=".secondlook-doctor-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return fail(
            name, f"{standing} cannot be written: {error.strerror}", _permission_remedy(standing)
        )
    free = shutil.disk_usage(standing).free
    will = "" if standing == folder else f" ({folder} will be created)"
    detail = f"{path}: {_size(free)} free{will}"
    if free < TOO_LITTLE_BYTES:
        return fail(name, detail, "make room on that disk, or choose another path")
    if free < LITTLE_BYTES:
        return warn(name, detail, "make room on that disk before it is full")
    return ok(name, detail)


def _nearest_existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _permission_remedy(path: Path) -> str:
    return f"give the user that runs this the right to write {path}, or choose another path"


def _size(amount: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
