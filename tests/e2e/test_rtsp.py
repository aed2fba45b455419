"""Cameras over real RTSP, from a real server process that dies, falls silent and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.capturing import capturing, collect, settings
from support.clips import number_in, numbered, write_clip
from support.rtsp import RtspServer

from secondlook.edge.capture.camera import CameraCapture, CapturedFrame, CaptureState

pytestmark = pytest.mark.anyio

FRAMES = 100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtspServer]:
    options = {"bf": "0", "g": "10"}
    write_clip(tmp_path / "street.mp4", numbered(FRAMES, 320, 192), fps=20, options=options)
    with RtspServer(tmp_path) as server:
        yield server


class Neighbour:
    """A second camera of the same agent, watched frame by frame."""

    def __init__(self, capture: CameraCapture) -> None:
        self.capture = capture
        self.sequences: list[int] = []
        self._wanted = 0
        self._reached = anyio.Event()

    async def watch(self) -> None:
        """Take every frame, for ever."""
        async for captured in self.capture.frames():
            self.sequences.append(captured.frame.ref.sequence)
            if len(self.sequences) >= self._wanted:
                self._reached.set()

    async def more(self, count: int) -> None:
        """Wait until ``count`` more frames have come."""
        self._wanted, self._reached = len(self.sequences) + count, anyio.Event()
        await self._reached.wait()


async def test_a_killed_server_is_found_again_and_the_neighbour_loses_nothing(
    server: RtspServer, tmp_path: Path
) -> None:
    chosen = settings(open_timeout_s=20.0, stall_timeout_s=20.0)
    # Two frames a second: even a machine under load takes each before the next one comes.
    clip = write_clip(tmp_path / "neighbour.avi", numbered(40), fps=2, codec="mpeg4")
    async with (
        capturing(str(clip), settings(loop=True), camera="neighbour") as other,
        capturing(server.url("street.mp4"), chosen, camera="rtsp") as capture,
        anyio.create_task_group() as group,
    ):
        neighbour = Neighbour(other)
        group.start_soon(neighbour.watch)
        frames = capture.frames()
        seen = [await anext(frames) for _ in range(15)]
        assert capture.state is CaptureState.RUNNING

        await anyio.to_thread.run_sync(server.kill)
        await capture.wait_state(CaptureState.BACKING_OFF, CaptureState.CONNECTING)
        await neighbour.more(3)
        await anyio.to_thread.run_sync(server.start)
        # What was under way when the server died comes first.
        while capture.state is not CaptureState.RUNNING:
            seen.append(await anext(frames))
        seen += [await anext(frames) for _ in range(15)]
        await neighbour.more(1)
        group.cancel_scope.cancel()

    numbers = [captured.frame.ref.sequence for captured in seen]
    assert numbers == sorted(set(numbers)), "numbers go on over the reconnect"
    media = [captured.media_s for captured in seen]
    assert media == sorted(media)
    assert all(0 <= number_in(captured.frame.image) < FRAMES for captured in seen)
    assert capture.stats.restarts >= 1
    assert capture.stats.crashes == 0, "the server died, not the decoder"
    assert neighbour.sequences == list(range(len(neighbour.sequences)))
    assert other.stats.dropped == 0
    assert other.stats.restarts == 0


async def test_a_server_that_falls_silent_counts_as_stalled(server: RtspServer) -> None:
    chosen = settings(open_timeout_s=20.0, stall_timeout_s=1.5, backoff_max_s=0.5)
    async with capturing(server.url("street.mp4"), chosen) as capture:
        frames = capture.frames()
        last = [await anext(frames) for _ in range(5)][-1]
        server.freeze()
        async with anyio.create_task_group() as group:
            group.start_soon(_drain, frames)
            await capture.wait_state(CaptureState.BACKING_OFF)
            group.cancel_scope.cancel()
        # The frozen server still holds the port.
        await anyio.to_thread.run_sync(server.kill)
        await anyio.to_thread.run_sync(server.start)
        captured = await anext(capture.frames())
        await capture.wait_state(CaptureState.RUNNING)
    assert captured.frame.ref.sequence > last.frame.ref.sequence
    assert captured.media_s > last.media_s
    assert capture.stats.restarts >= 1


async def _drain(frames: AsyncIterator[CapturedFrame]) -> None:
    async for _ in frames:
        pass


async def test_a_camera_that_is_not_there_yet_is_awaited(tmp_path: Path) -> None:
    write_clip(tmp_path / "late.mp4", numbered(40), fps=20, options={"bf": "0"})
    server = RtspServer(tmp_path)
    async with capturing(server.url("late.mp4"), settings()) as capture:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, server.start)
            captured = await anext(capture.frames())
        assert captured.frame.ref.sequence == 0
        assert number_in(captured.frame.image) < 40
    await anyio.to_thread.run_sync(server.kill)


async def test_the_stream_is_decoded_and_stamped_like_a_camera(server: RtspServer) -> None:
    async with capturing(server.url("street.mp4"), settings()) as capture:
        seen = await collect(capture, 40)
    assert capture.info is not None
    assert capture.info.live
    assert "h264" in capture.info.backend
    shown = [number_in(captured.frame.image) for captured in seen]
    numbers = [captured.frame.ref.sequence for captured in seen]
    # The number in the picture is the number of the frame, drops or not.
    assert shown == [number % FRAMES for number in numbers]
    assert [round(c.media_s * 20) for c in seen] == numbers
