from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.capturing import (
    asap,
    capturing,
    capturing_fault,
    collect,
    exists,
    sequences,
    sequences_until,
    settings,
)
from support.clips import number_in, numbered, write_clip

from secondlook.edge.capture.camera import CameraCapture, CaptureState
from secondlook.edge.capture.settings import CaptureSettings, Overflow
from secondlook.shared.clock import ManualClock, SystemClock
from secondlook.shared.errors import InvalidInput, SourceError

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Thirty numbered frames at 10 a second."""
    return str(write_clip(tmp_path_factory.mktemp("clip") / "thirty.mp4", numbered(30)))


async def test_a_recording_comes_whole_in_order_and_then_ends(clip: str) -> None:
    registry = CollectorRegistry()
    async with capturing(clip, registry=registry) as capture:
        found = await collect(capture)
    assert [number_in(c.frame.image) for c in found] == list(range(30))
    assert [c.frame.ref.sequence for c in found] == list(range(30))
    assert [round(c.media_s, 3) for c in found] == [round(i / 10, 3) for i in range(30)]
    assert {(c.frame.ref.camera, c.frame.ref.width, c.frame.ref.height) for c in found} == {
        ("gate", 160, 96)
    }
    assert capture.state is CaptureState.ENDED
    assert capture.stats.frames == 30
    assert capture.stats.dropped == 0
    assert (
        registry.get_sample_value("secondlook_edge_capture_frames_total", {"camera": "gate"})
        == 30.0
    )
    assert (
        registry.get_sample_value(
            "secondlook_edge_capture_state",
            {"camera": "gate", "secondlook_edge_capture_state": "ended"},
        )
        == 1.0
    )


async def test_a_frame_is_copied_once_and_that_is_counted(clip: str) -> None:
    registry = CollectorRegistry()
    async with capturing(clip, registry=registry) as capture:
        async for captured in capture.frames():
            assert captured.bytes_copied == 160 * 96 * 3
    assert capture.stats.bytes_copied == 30 * 160 * 96 * 3
    assert (
        registry.get_sample_value("secondlook_edge_capture_copied_bytes_total", {"camera": "gate"})
        == 30 * 160 * 96 * 3
    )


async def test_one_who_keeps_every_frame_gets_every_frame_intact(clip: str) -> None:
    async with capturing(clip, asap(slots=4)) as capture:
        kept = await collect(capture)
        assert [number_in(c.frame.image) for c in kept] == list(range(30))
    assert [number_in(c.frame.image) for c in kept] == list(range(30))
    assert {c.bytes_copied for c in kept} == {160 * 96 * 3, 2 * 160 * 96 * 3}
    assert capture.stats.bytes_copied == sum(c.bytes_copied for c in kept)


async def test_images_are_read_only(clip: str) -> None:
    async with capturing(clip, asap(slots=4)) as capture:
        kept = await collect(capture, 10)
        assert not any(c.frame.image.flags.writeable for c in kept)


async def test_the_analysis_rate_skips_by_media_time(clip: str) -> None:
    async with capturing(clip, asap(analysis_fps=3.0)) as capture:
        found = await collect(capture)
    assert [number_in(c.frame.image) for c in found] == [0, 4, 7, 10, 14, 17, 20, 24, 27]
    assert [c.frame.ref.sequence for c in found] == [0, 4, 7, 10, 14, 17, 20, 24, 27]
    assert capture.stats.dropped == 0
    assert capture.stats.skipped == 21


async def test_what_the_analysis_rate_skips_is_not_copied(clip: str) -> None:
    async with capturing(clip, asap(analysis_fps=3.0)) as capture:
        taken = [captured.frame.ref.sequence async for captured in capture.frames()]
    assert len(taken) == 9
    assert capture.stats.bytes_copied == 9 * 160 * 96 * 3


async def test_a_loop_continues_numbers_and_time(clip: str) -> None:
    async with capturing(clip, asap(loop=True)) as capture:
        found = await collect(capture, 65)
    assert [c.frame.ref.sequence for c in found] == list(range(65))
    assert [number_in(c.frame.image) for c in found] == [i % 30 for i in range(65)]
    assert [round(c.media_s, 3) for c in found] == [round(i / 10, 3) for i in range(65)]


async def test_the_settings_rate_replaces_a_header_that_lies(clip: str) -> None:
    async with capturing(clip, asap(fps=2.0, analysis_fps=1.0)) as capture:
        found = await collect(capture, 3)
    assert [(c.frame.ref.sequence, c.media_s) for c in found] == [(0, 0.0), (2, 1.0), (4, 2.0)]


async def test_truth_comes_along() -> None:
    async with capturing("sim://street?frames=3&size=320x192&seed=4") as capture:
        found = await collect(capture)
    assert len(found) == 3
    for captured in found:
        assert captured.truth is not None
        assert captured.ignore is not None
        assert captured.ignore.shape == (len(captured.truth),)
        assert "car" in captured.truth.names
    assert capture.info is not None
    assert capture.info.backend == "sim"


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
async def test_realtime_plays_at_the_recordings_rate(
    speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(speed=speed)
    async with capturing_fault(monkeypatch, "frames=6&fps=20", chosen) as capture:
        found = await collect(capture)
    taken = [c.frame.ref.captured_s for c in found]
    # A frame is never early; how late it may be is the machine's affair.
    assert all(
        later - taken[0] >= (c.media_s - found[0].media_s) / speed - 0.002
        for later, c in zip(taken, found, strict=True)
    )


async def test_the_clock_stamps_the_frames(clip: str) -> None:
    clock = ManualClock(monotonic_s=500.0, wall_s=1_000_000.0)
    async with CameraCapture("gate", clip, asap(), clock, CollectorRegistry()) as capture:
        (first,) = await collect(capture, 1)
        clock.advance(2.0)
        (second,) = await collect(capture, 1)
    assert (first.frame.ref.captured_s, first.frame.ref.captured_at) == (500.0, 1_000_000.0)
    assert (second.frame.ref.captured_s, second.frame.ref.captured_at) == (502.0, 1_000_002.0)


async def test_the_newest_frame_wins_and_drops_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = CollectorRegistry()
    chosen = asap(overflow=Overflow.DROP_OLDEST)
    async with capturing_fault(monkeypatch, "frames=500", chosen, registry=registry) as capture:
        found = await sequences(capture)
    assert found[-1] == 499, "the newest frame is never the one that is dropped"
    assert found == sorted(found)
    assert capture.stats.dropped == 500 - len(found)
    assert registry.get_sample_value(
        "secondlook_edge_capture_dropped_frames_total", {"camera": "gate"}
    ) == float(500 - len(found))


async def test_a_frame_for_one_who_left_is_replaced_by_newer_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = asap(overflow=Overflow.DROP_OLDEST)
    async with capturing_fault(monkeypatch, "frames=50", chosen) as capture:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await collect(capture, 1)
        found = await sequences(capture)
    assert found[-1] == 49
    assert capture.stats.dropped == 50 - len(found)


async def test_frame_sizes_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    query = "frames=12&size=64x48,320x240,32x32,640x480"
    async with capturing_fault(monkeypatch, query) as capture:
        kept = await collect(capture)
    assert [(c.frame.ref.width, c.frame.ref.height) for c in kept] == [
        (64, 48), (320, 240), (32, 32), (640, 480)
    ] * 3  # fmt: skip
    assert all((c.frame.image == c.frame.ref.sequence).all() for c in kept)


async def test_an_error_of_the_source_ends_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    async with capturing_fault(monkeypatch, "frames=9&fault=error&at=4") as capture:
        found: list[int] = []
        with pytest.raises(SourceError, match=r"cable is loose.*push it in"):
            await sequences_until(capture, found)
        assert found == [0, 1, 2, 3]
        assert capture.state is CaptureState.FAILED
        with pytest.raises(SourceError):
            await collect(capture)
    assert capture.stats.restarts == 0


async def test_a_camera_that_cannot_be_opened_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    query = f"fault=open&times=3&count={tmp_path / 'faults'}&live=1"
    chosen = settings(overflow=Overflow.BLOCK)
    async with capturing_fault(monkeypatch, query, chosen, persistent=True) as capture:
        assert await sequences(capture, 1) == [0]
        assert capture.state is CaptureState.RUNNING
    assert capture.stats.restarts == 3
    assert capture.stats.crashes == 0


async def test_a_recording_that_cannot_be_opened_fails_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with capturing_fault(monkeypatch, "fault=open") as capture:
        with pytest.raises(SourceError, match=r"lens is dirty \(wipe it\)"):
            await collect(capture)
    assert capture.stats.restarts == 0


async def test_a_stream_that_ends_is_opened_again_and_numbers_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(overflow=Overflow.BLOCK)
    async with capturing_fault(monkeypatch, "frames=4&live=1", chosen, persistent=True) as capture:
        found = await collect(capture, 10)
    assert [c.frame.ref.sequence for c in found] == list(range(10))
    assert [int(c.frame.image[0, 0, 0]) for c in found] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    media = [c.media_s for c in found]
    assert media == sorted(media)
    assert capture.stats.restarts == 2


async def test_several_cameras_share_a_registry(clip: str) -> None:
    registry = CollectorRegistry()
    async with (
        capturing(clip, camera="a", registry=registry) as a,
        capturing(clip, camera="b", registry=registry) as b,
    ):
        assert len(await sequences(a)) == 30
        assert len(await sequences(b, 7)) == 7
    name = "secondlook_edge_capture_frames_total"
    assert registry.get_sample_value(name, {"camera": "a"}) == 30.0
    assert registry.get_sample_value(name, {"camera": "b"}) == 7.0


async def test_leaving_early_ends_the_process(clip: str) -> None:
    async with capturing(clip) as capture:
        await collect(capture, 1)
        process_id = capture.process_id
        assert process_id is not None
        assert exists(process_id)
    assert not exists(process_id)
    assert capture.process_id is None


async def test_leaving_by_an_error_raises_that_error(clip: str) -> None:
    async def leave() -> None:
        async with capturing(clip) as capture:
            await collect(capture, 1)
            raise RuntimeError("the body's own")

    with pytest.raises(RuntimeError, match="the body's own"):
        await leave()


async def test_a_consumer_in_another_task_ends_with_the_capture(clip: str) -> None:
    found: list[int] = []
    async with anyio.create_task_group() as group, capturing(clip, asap(loop=True)) as capture:
        group.start_soon(sequences_until, capture, found)
        await capture.wait_state(CaptureState.RUNNING)
    assert found == list(range(len(found)))


async def test_leaving_by_cancellation(clip: str) -> None:
    with anyio.CancelScope() as scope:
        async with capturing(clip, asap(loop=True)) as capture:
            async for _ in capture.frames():
                scope.cancel()
    assert scope.cancelled_caught
    assert capture.process_id is None


async def test_waiting_for_a_frame_can_be_given_up_and_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with capturing_fault(monkeypatch, "frames=3") as capture:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await collect(capture, 1)
        assert await sequences(capture) == [0, 1, 2]


async def test_a_url_that_can_never_work_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="unknown scheme"):
        CameraCapture("a", "gopher://cam", asap(), SystemClock(), CollectorRegistry())


async def test_wrong_parameters_of_a_source_are_the_callers_fault() -> None:
    async with capturing("sim://street?colour=red") as capture:
        with pytest.raises(InvalidInput, match="colour"):
            await collect(capture)


def test_settings_have_bounds_and_units() -> None:
    for name, field in CaptureSettings.model_fields.items():
        assert field.description, name
    with pytest.raises(ValueError, match="backoff_max_s"):
        CaptureSettings(backoff_initial_s=5.0, backoff_max_s=1.0)
    for bad in ({"slots": 3}, {"analysis_fps": -1}, {"stall_timeout_s": 0}, {"overflow": "maybe"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            CaptureSettings.model_validate(bad)
