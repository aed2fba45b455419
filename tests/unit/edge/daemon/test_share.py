"""One light model for several cameras."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio
import anyio.to_thread
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.edge import ScriptedDetector, picture, seen

from secondlook.edge.daemon.share import DetectorShare
from secondlook.shared.errors import ModelFailure
from secondlook.shared.values import Detections

pytestmark = pytest.mark.anyio


def _share(detector: ScriptedDetector, max_batch: int = 1) -> DetectorShare:
    return DetectorShare(detector, 0.05, max_batch, CollectorRegistry())


class Gated:
    """A detector that runs one call for each permit, and notes whose frames it saw."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.order: list[int] = []

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        assert self.permits.acquire(timeout=20)
        self.order += [int(image[0, 0, 0]) for image in images]
        return [seen()] * len(images)


async def test_a_flood_from_one_camera_does_not_starve_another() -> None:
    gated = Gated()
    share = _share(ScriptedDetector(gated))

    async def camera(name: str, grey: int, frames: int) -> None:
        for _ in range(frames):
            await share.detect(name, picture(grey=grey))

    async with anyio.create_task_group() as helpers:
        helpers.start_soon(share.run)
        async with anyio.create_task_group() as cameras:
            cameras.start_soon(camera, "flood", 1, 20)
            cameras.start_soon(camera, "slow", 2, 4)
            cameras.start_soon(camera, "other", 3, 4)
            gated.permits.release(28)
        helpers.cancel_scope.cancel()
    await anyio.to_thread.run_sync(share.close)
    last = max(i for i, grey in enumerate(gated.order) if grey == 2)
    assert last <= 12, "four frames of each of three cameras take twelve turns"


async def test_frames_of_several_cameras_run_together() -> None:
    gated = Gated()
    detector = ScriptedDetector(gated, max_batch=4)
    share = _share(detector, max_batch=4)
    async with anyio.create_task_group() as helpers:
        helpers.start_soon(share.run)
        async with anyio.create_task_group() as cameras:
            for grey in range(5):
                cameras.start_soon(share.detect, f"c{grey}", picture(grey=grey))
            await anyio.lowlevel.checkpoint()
            gated.permits.release(10)
        helpers.cancel_scope.cancel()
    await anyio.to_thread.run_sync(share.close)
    assert sorted(gated.order) == [0, 1, 2, 3, 4]
    assert max(detector.calls) > 1
    assert max(detector.calls) <= 4


async def test_a_frame_that_breaks_the_model_hurts_only_its_camera() -> None:
    def picky(images: Sequence[np.ndarray]) -> list[Detections]:
        if any(image[0, 0, 0] == 66 for image in images):
            raise ModelFailure("NaN")
        return [seen(((0, 0, 9, 9), 0.9, "car"))] * len(images)

    share = _share(ScriptedDetector(picky, max_batch=3), max_batch=3)
    results: dict[str, object] = {}

    async def camera(name: str, grey: int) -> None:
        try:
            results[name] = len(await share.detect(name, picture(grey=grey)))
        except ModelFailure as error:
            results[name] = error.message

    async with anyio.create_task_group() as helpers:
        async with anyio.create_task_group() as cameras:
            for name, grey in (("a", 1), ("b", 66), ("c", 3)):
                cameras.start_soon(camera, name, grey)
            helpers.start_soon(share.run)
        helpers.cancel_scope.cancel()
    await anyio.to_thread.run_sync(share.close)
    assert results == {"a": 1, "b": "NaN", "c": 1}


async def test_cancelling_one_of_a_batch_leaves_the_others_served() -> None:
    gated = Gated()
    share = _share(ScriptedDetector(gated, max_batch=3), max_batch=3)
    served: list[str] = []

    async def camera(name: str) -> None:
        await share.detect(name, picture())
        served.append(name)

    async with anyio.create_task_group() as helpers:
        helpers.start_soon(share.run)
        async with anyio.create_task_group() as cameras, anyio.create_task_group() as doomed:
            cameras.start_soon(camera, "a")
            doomed.start_soon(camera, "b")
            cameras.start_soon(camera, "c")
            await anyio.lowlevel.checkpoint()
            doomed.cancel_scope.cancel()
            gated.permits.release(5)
        assert sorted(served) == ["a", "c"]
        await camera("b")
        helpers.cancel_scope.cancel()
    await anyio.to_thread.run_sync(share.close)
    assert served[-1] == "b"
