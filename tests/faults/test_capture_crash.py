"""A decoder that aborts, hangs or goes bad takes nothing but its own process down."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.capturing import (
    asap,
    capturing,
    capturing_fault,
    collect,
    sequences,
    sequences_until,
    settings,
)
from support.clips import number_in, numbered, write_clip

from secondlook.edge.capture.camera import CaptureState
from secondlook.edge.capture.clip import read_clip
from secondlook.edge.capture.settings import Overflow
from secondlook.shared.errors import SourceError


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["abort", "exit"])
async def test_a_decoder_that_dies_once_is_resumed_without_loss(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    query = f"frames=12&fault={fault}&at=6&count={tmp_path / 'faults'}"
    async with capturing_fault(monkeypatch, query) as capture:
        kept = await collect(capture)
    assert [c.frame.ref.sequence for c in kept] == list(range(12))
    assert [int(c.frame.image[0, 0, 0]) for c in kept] == list(range(12))
    assert (capture.stats.crashes, capture.stats.restarts) == (1, 1)


@pytest.mark.anyio
async def test_a_loop_is_resumed_in_its_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The first pass is left alone, the second dies in its middle.
    query = f"frames=4&fault=abort&at=2&which=1&count={tmp_path / 'faults'}"
    async with capturing_fault(monkeypatch, query, asap(loop=True)) as capture:
        kept = await collect(capture, 10)
    assert [c.frame.ref.sequence for c in kept] == list(range(10))
    assert [int(c.frame.image[0, 0, 0]) for c in kept] == [i % 4 for i in range(10)]
    assert [round(c.media_s, 6) for c in kept] == [round(i / 10, 6) for i in range(10)]
    assert capture.stats.crashes == 1


@pytest.mark.anyio
async def test_a_recording_that_always_kills_its_decoder_is_given_up_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = CollectorRegistry()
    async with capturing_fault(
        monkeypatch, "frames=12&fault=abort&at=6", asap(max_crashes=3), registry=registry
    ) as capture:
        found: list[int] = []
        with pytest.raises(
            SourceError, match=r"sim://user:\*\*\*@faulty/.*died 3 times at frame 6.*SIGABRT"
        ):
            await sequences_until(capture, found)
        assert found == list(range(6))
        assert capture.state is CaptureState.FAILED
    name = "secondlook_edge_capture_crashes_total"
    assert registry.get_sample_value(name, {"camera": "gate"}) == 3.0


@pytest.mark.anyio
async def test_a_decoder_that_hangs_is_killed_and_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    query = f"frames=8&fault=hang&at=4&count={tmp_path / 'faults'}"
    async with capturing_fault(monkeypatch, query, asap(stall_timeout_s=0.5)) as capture:
        assert await sequences(capture) == list(range(8))
    assert capture.stats.crashes >= 1


@pytest.mark.anyio
async def test_a_camera_whose_process_is_killed_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(overflow=Overflow.BLOCK)
    async with capturing_fault(
        monkeypatch, "frames=100000&live=1", chosen, persistent=True
    ) as capture:
        found = await sequences(capture, 5)
        for _ in range(2):
            assert capture.process_id is not None
            os.kill(capture.process_id, signal.SIGKILL)
            crashes = capture.stats.crashes
            while capture.stats.crashes == crashes:
                found += await sequences(capture, 1)
            found += await sequences(capture, 5)
    assert found == list(range(len(found)))
    assert capture.stats.crashes == 2


@pytest.mark.anyio
async def test_another_camera_never_notices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", numbered(60), fps=30)
    found: list[int] = []
    query = "frames=9&fault=abort&at=1&live=1"
    async with (
        capturing(str(clip), asap(), camera="healthy") as healthy,
        capturing_fault(monkeypatch, query, persistent=True) as sick,
        anyio.create_task_group() as group,
    ):
        group.start_soon(sequences_until, sick, [])
        found = await sequences(healthy)
        group.cancel_scope.cancel()
    assert found == list(range(60))
    assert healthy.stats.restarts == 0
    assert healthy.stats.dropped == 0


@pytest.mark.anyio
async def test_what_a_decoder_shouts_is_logged_briefly_and_without_passwords(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    query = "frames=9&fault=chatter&at=1"
    async with capturing_fault(monkeypatch, query, asap(max_crashes=1)) as capture:
        with pytest.raises(SourceError, match="died 1 times"):
            await collect(capture)
    printed = "".join(capfd.readouterr())
    assert "said hello" in printed or "Fatal Python error" in printed
    assert printed.count("said hello") <= 20
    assert "hunter2" not in printed


@pytest.mark.anyio
async def test_the_password_is_not_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async with capturing_fault(monkeypatch, "frames=9") as capture:
        await collect(capture, 1)
        command = await anyio.Path(f"/proc/{capture.process_id}/cmdline").read_bytes()
    assert b"secondlook.edge.capture.worker" in command
    assert b"hunter2" not in command


@pytest.mark.parametrize("seed", range(3))
def test_a_malformed_avi_never_harms_the_reader(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    damaged = bytearray(write_clip(tmp_path / "a.avi", numbered(30), codec="mpeg4").read_bytes())
    # Sizes and counts in the headers, and stretches of the pictures.
    for _ in range(12):
        start = rng.randrange(32, 300)
        damaged[start : start + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x7f" * 4])
    for _ in range(20):
        start = rng.randrange(4000, len(damaged) - 8)
        damaged[start : start + 8] = rng.randbytes(8)
    (tmp_path / "bad.avi").write_bytes(damaged)
    with contextlib.suppress(SourceError):
        for captured in read_clip(str(tmp_path / "bad.avi")):
            assert captured.frame.image.ndim == 3
    healthy = [number_in(c.frame.image) for c in read_clip(str(tmp_path / "a.avi"), max_frames=3)]
    assert healthy == [0, 1, 2]


_AGENT = """
import os, pathlib, signal
from secondlook.edge.capture.clip import read_clip
frames = read_clip("sim://street?size=320x192")
next(frames)
tasks = pathlib.Path("/proc/self/task").iterdir()
print(*{pid for task in tasks for pid in (task / "children").read_text().split()}, flush=True)
signal.pause()
"""


def test_the_capture_process_dies_with_the_agent() -> None:
    """An agent that is killed outright leaves no decoder behind."""
    command = [sys.executable, "-c", _AGENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        # The agent logs to the same stream; the line of numbers is ours.
        line = next(line for line in agent.stdout if line.replace(" ", "").strip().isdecimal())
        watched = {int(pid): os.pidfd_open(int(pid)) for pid in line.split()}
        agent.kill()
    assert watched
    for pid, descriptor in watched.items():
        # Readable once the process has ended; the limit only keeps a failure from hanging.
        ended, _, _ = select.select([descriptor], [], [], 60)
        os.close(descriptor)
        assert ended, f"capture process {pid} outlives its agent"
