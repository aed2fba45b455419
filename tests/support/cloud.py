"""The cloud in a test: a detector that needs no model, the service in this process or its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import cv2
import grpc.aio
import numpy as np

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import RunningCloud, running_cloud
from secondlook.cloud.settings import CloudSettings
from secondlook.rpc.v1 import escalation_pb2_grpc
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import ModelFailure
from secondlook.shared.values import Detections, Escalation, ImageEncoding, Placement, Region
from support.waiting import until_beside

NAMES = ("person", "car")
POISON = 13
"""Blue of the first pixel of an image that makes the whole batch fail."""


class FakeDetector:
    """Sees one car: the box around all pixels whose green is above 200.

    It can be held: ``hold()`` makes calls wait until ``release()``, and ``entered`` counts calls
    that began, so that a test can queue things behind a busy device without any sleep.
    """

    def __init__(
        self, name: str = "fake", *, width: int = 640, height: int = 640, max_batch: int = 4
    ) -> None:
        self.info = ModelInfo(name, "1", NAMES, width, height, "fake", "GPU", max_batch)
        self.batches: list[int] = []
        self.seen: list[Image] = []
        self.closed = False
        self.broken = False
        self._free = threading.Event()
        self._free.set()
        self.entered = threading.Semaphore(0)

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def wait_entered(self) -> None:
        """Blocks until one more call has begun."""
        assert self.entered.acquire(timeout=10)

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        self.batches.append(len(images))
        self.seen.extend(images)
        self.entered.release()
        assert self._free.wait(30)
        if self.broken or any(image[0, 0, 0] == POISON for image in images):
            raise ModelFailure("poisoned")
        return [self._look(image, min_score) for image in images]

    def warm_up(self) -> None:
        self.detect([np.zeros((8, 8, 3), np.uint8)])

    def close(self) -> None:
        self.closed = True

    def _look(self, image: Image, min_score: float) -> Detections:
        rows, columns = np.nonzero(image[:, :, 1] > 200)
        if not len(rows) or min_score > 0.9:
            return Detections.empty(NAMES)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections.of([box], [0.9], [1], NAMES)


def settings(**tables: Any) -> CloudSettings:
    """Settings on free ports of loopback, with everything in memory."""
    base: dict[str, Any] = {
        "server": {"port": 0},
        "metrics": {"port": 0, "enabled": False},
        "memory": {"url": "sqlite:///:memory:"},
        # What is asked twice is to be seen twice.
        "cache": {"enabled": False},
        "monitor": {"enabled": False},
        "models": [{"name": "fake", "path": "unused.onnx"}],
    }
    for name, table in tables.items():
        base[name] = {**base[name], **table} if isinstance(base.get(name), dict) else table
    return CloudSettings.model_validate(base)


@asynccontextmanager
async def fake_cloud(
    *detectors: FakeDetector, **tables: Any
) -> AsyncIterator[tuple[RunningCloud, grpc.aio.Channel]]:
    """The service in this process over fake detectors, and a channel to it."""
    models = [Loaded(detector) for detector in detectors or (FakeDetector(),)]
    async with (
        running_cloud(settings(**tables), load=lambda _: models) as cloud,
        channel_to(cloud.port) as channel,
    ):
        try:
            yield cloud, channel
        except BaseException:
            # A test that failed must not leave a drain waiting for a held device.
            for detector in detectors:
                detector.release()
            raise


@asynccontextmanager
async def channel_to(port: int) -> AsyncIterator[grpc.aio.Channel]:
    """A channel of its own (no connection shared with other tests)."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield channel


def escalation_stub(channel: grpc.aio.Channel) -> Any:
    """The stub of `Escalation` (asyncio flavour)."""
    return escalation_pb2_grpc.EscalationStub(channel)


def picture(
    width: int, height: int, car: tuple[int, int, int, int] | None = None, level: int = 60
) -> Image:
    """A flat picture with, perhaps, one bright green car at x1 y1 x2 y2."""
    image = np.full((height, width, 3), level, np.uint8)
    if car is not None:
        x1, y1, x2, y2 = car
        image[y1:y2, x1:x2] = (0, 255, 0)
    return image


def encoded(image: Image, encoding: ImageEncoding = ImageEncoding.PNG) -> bytes:
    """The image as bytes; PNG keeps each pixel."""
    done, data = cv2.imencode(f".{encoding.value}", image)
    assert done
    return data.tobytes()


def whole_frame(frame: Image, request_id: str = "r1", **fields: Any) -> Escalation:
    """An escalation of the whole frame."""
    height, width = frame.shape[:2]
    region = Region(0, 0, width, height)
    given = {
        "request_id": request_id,
        "camera": "cam",
        "sequence": 1,
        "captured_at": 0.0,
        "frame_width": width,
        "frame_height": height,
        "image": fields["image"] if "image" in fields else encoded(frame),
        "encoding": ImageEncoding.PNG,
        "placements": (Placement(region, 0, 0, width, height),),
        **fields,
    }
    return Escalation(**given)


def one_region(frame: Image, region: Region, request_id: str = "r1", **fields: Any) -> Escalation:
    """An escalation of one region of a frame, sent unscaled."""
    x1, y1, x2, y2 = region.xyxy
    place = Placement(region, 0, 0, region.width, region.height)
    return whole_frame(
        frame, request_id, image=encoded(frame[y1:y2, x1:x2]), placements=(place,), **fields
    )


class CloudProcess:
    """``secondlook cloud serve`` as a real process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ready = folder / "ready.json"
        self._ready.unlink(missing_ok=True)
        self.log = folder / "cloud.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "secondlook.cli", "cloud", "serve"),
                    # The last word counts: tests that run beside this one have ports of their own.
                    *("--port", "0", "--metrics-port", "0"),
                    *("--ready-file", str(self._ready), *arguments),
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        self.ports = self._wait_ready()
        self.port: int = self.ports["port"]

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def _wait_ready(self) -> dict[str, int]:
        until_beside(self.process, self.log, self._ready.exists)
        said: dict[str, int] = json.loads(self._ready.read_text())
        return said


@contextmanager
def cloud_process(folder: Path, *arguments: str) -> Iterator[CloudProcess]:
    """The service as a process, gone at the end whatever happens."""
    running = CloudProcess(folder, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()
