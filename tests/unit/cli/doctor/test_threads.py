"""Blocking calls that may be left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from secondlook.cli.doctor.threads import in_thread, left_behind

pytestmark = pytest.mark.anyio


async def test_results_and_errors_come_back() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_a_call_that_hangs_is_left_behind() -> None:
    hang, done = threading.Event(), threading.Event()

    def work() -> None:
        hang.wait(60)
        done.set()

    with anyio.move_on_after(0.01) as scope:
        await in_thread(work)
    assert scope.cancelled_caught
    assert left_behind()
    hang.set()
    await anyio.to_thread.run_sync(done.wait, 60)
    assert await in_thread(int, "7") == 7


def test_the_command_ends_though_a_file_never_answers(tmp_path: Path) -> None:
    settings = tmp_path / "edge.toml"
    os.mkfifo(settings)
    command = [sys.executable, "-m", "secondlook.cli", "doctor", "--timeout", "0.2"]
    ended = subprocess.run(
        [*command, "--edge-config", str(settings)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 4, ended.stderr
    assert "edge.toml cannot be read within 0.2 s" in ended.stdout
    assert "First to mend: settings: edge." in ended.stdout
