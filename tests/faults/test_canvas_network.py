"""Canvas streams over connections that fail, to services and decoders that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.canvas import Camera, Image, cut, psnr, scene, session_uplink
from support.cloud import CloudProcess, FakeDetector, cloud_process, fake_cloud
from support.proxy import fault_proxy
from support.waiting import eventually

from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.edge.uplink.session import SessionUplink
from secondlook.shared.errors import StateLost, Unavailable
from secondlook.shared.measure import Direction
from secondlook.shared.values import Region

pytestmark = pytest.mark.anyio

REGION = (Region(64, 64, 96, 64),)


def image(step: int) -> Image:
    return scene(320, 240, shift=3 * step)


async def check_mended(camera: Camera, uplink: SessionUplink, detector: FakeDetector) -> None:
    """A later update is answered, on the picture that its encoder means."""
    picture = scene(320, 240, shift=77)
    answered = await camera.asked_until_answered(uplink, picture, REGION)
    for place in answered.placements:
        assert psnr(cut(detector.seen[-1], place), cut(picture, place)) > 27


async def test_a_cut_in_mid_stream_is_mended_by_a_key_frame() -> None:
    detector, camera = FakeDetector(), Camera(320, 240)
    async with fake_cloud(detector) as (cloud, _), fault_proxy(cloud.port) as proxy:
        async with session_uplink(proxy.target) as uplink:
            await camera.asked_until_answered(uplink, image(0))
            detector.hold()
            await camera.ask(uplink, image(1), REGION)
            await anyio.to_thread.run_sync(detector.wait_entered)
            await proxy.cut()
            await camera.settled()
            detector.release()
            assert isinstance(camera.failures[-1], StateLost)
            await check_mended(camera, uplink, detector)
        await eventually(lambda: len(cloud.canvases) == 0)


async def test_a_connection_that_dies_at_any_byte_gives_no_wrong_picture() -> None:
    detector, camera = FakeDetector(), Camera(320, 240)
    async with (
        fake_cloud(detector) as (cloud, _),
        fault_proxy(cloud.port) as proxy,
        session_uplink(proxy.target) as uplink,
    ):
        for step, (direction, size) in enumerate(
            [(Direction.UP, 40), (Direction.DOWN, 10), (Direction.UP, 300), (Direction.DOWN, 70)]
        ):
            await camera.asked_until_answered(uplink, image(step))
            proxy.cut_after(direction, size)
            for later in range(4):
                await camera.ask(uplink, image(step + later), REGION)
                await camera.settled()
            await check_mended(camera, uplink, detector)


async def test_damaged_bytes_are_noticed() -> None:
    detector, camera = FakeDetector(), Camera(320, 240)
    async with (
        fake_cloud(detector) as (cloud, _),
        fault_proxy(cloud.port) as proxy,
        session_uplink(proxy.target) as uplink,
    ):
        await camera.asked_until_answered(uplink, image(0))
        for step in range(5):
            proxy.corrupt_next(Direction.UP)
            await camera.ask(uplink, image(step), REGION)
            await camera.settled()
        await check_mended(camera, uplink, detector)


async def test_a_decoding_process_that_is_killed_is_replaced() -> None:
    detector = FakeDetector()
    cameras = [Camera(320, 240, camera=f"c{k}") for k in range(3)]
    async with (
        fake_cloud(detector) as (cloud, _),
        session_uplink(f"127.0.0.1:{cloud.port}") as uplink,
    ):
        for camera in cameras:
            await camera.asked_until_answered(uplink, image(0))
        (pid,) = cloud.canvases.pids
        os.kill(pid, signal.SIGKILL)
        for camera in cameras:
            await camera.ask(uplink, image(1), REGION)
            await camera.settled()
            assert isinstance(camera.failures[-1], StateLost)
        for camera in cameras:
            await check_mended(camera, uplink, detector)
        assert cloud.canvases.pids != [pid]


async def test_a_decoding_process_that_hangs_is_replaced() -> None:
    detector, camera = FakeDetector(), Camera(320, 240)
    async with (
        fake_cloud(detector, canvas={"timeout_s": 0.2}) as (cloud, _),
        session_uplink(f"127.0.0.1:{cloud.port}") as uplink,
    ):
        await camera.asked_until_answered(uplink, image(0))
        (pid,) = cloud.canvases.pids
        os.kill(pid, signal.SIGSTOP)
        await camera.ask(uplink, image(1), REGION)
        await camera.settled()
        assert isinstance(camera.failures[-1], StateLost)
        await check_mended(camera, uplink, detector)


async def test_a_stream_that_moves_to_another_replica_begins_with_a_key_frame() -> None:
    first, second, camera = FakeDetector(), FakeDetector(), Camera(320, 240)
    async with (
        fake_cloud(first) as (one, _),
        fake_cloud(second) as (other, _),
        fault_proxy(one.port) as proxy,
        session_uplink(proxy.target) as uplink,
    ):
        await camera.asked_until_answered(uplink, image(0))
        proxy.redirect("127.0.0.1", other.port)
        await proxy.cut()
        await check_mended(camera, uplink, second)
        assert len(first.seen) == 1
        assert all(isinstance(error, StateLost) for error in camera.failures)


async def test_a_service_that_is_killed_and_comes_back_loses_no_later_update(
    tmp_path: Path,
) -> None:
    camera = Camera(320, 240)
    arguments = ("--port", "0")
    with cloud_process(tmp_path, *arguments) as old:
        async with (
            fault_proxy(old.port) as proxy,
            session_uplink(proxy.target) as uplink,
        ):
            await camera.asked_until_answered(uplink, image(0))
            await anyio.to_thread.run_sync(old.kill)
            await camera.ask(uplink, image(1), REGION)
            await camera.settled()
            assert isinstance(camera.failures[-1], (StateLost, Unavailable))
            new = await anyio.to_thread.run_sync(CloudProcess, tmp_path, *arguments)
            try:
                proxy.redirect("127.0.0.1", new.port)
                answered = await camera.asked_until_answered(uplink, image(2), REGION)
                assert answered.canvas is not None
                assert answered.canvas.key
                for step in range(3, 8):
                    await camera.ask(uplink, image(step), REGION)
                await camera.settled()
                assert len(camera.verdicts) == 7
            finally:
                await anyio.to_thread.run_sync(new.kill)


async def test_what_the_cloud_sees_is_what_the_encoder_means() -> None:
    """Every picture the model gets is bit by bit what a second decoder makes of the same units."""
    detector, camera, ours = FakeDetector(), Camera(640, 360), CanvasDecoder()
    frames = [scene(640, 360, shift=5 * step) for step in range(12)]
    async with (
        fake_cloud(detector) as (cloud, _),
        session_uplink(f"127.0.0.1:{cloud.port}", queue=32) as uplink,
    ):
        for step, frame in enumerate(frames):
            regions = (Region(96 + 16 * step, 96, 160, 96), Region(16, 16, 64, 64))
            escalation = await camera.ask(uplink, frame, () if step == 6 else regions)
            await camera.settled()
            assert escalation.canvas is not None
            meant = ours.decode(escalation.canvas, escalation.image)
            assert (detector.seen[-1] == meant).all()
            for place in escalation.placements:
                assert psnr(cut(meant, place), cut(frame, place)) > 27
    assert camera.failures == []
    assert len(camera.verdicts) == len(frames)
