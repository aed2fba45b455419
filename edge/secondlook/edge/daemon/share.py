"""One light model for all cameras, fairly: who was served longest ago is served next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import anyio
from prometheus_client import CollectorRegistry, Counter, Histogram

from secondlook.shared.detect.protocol import Detector, Image
from secondlook.shared.errors import SecondlookError
from secondlook.shared.values import Detections


@dataclass(slots=True, eq=False)
class _Request:
    """One frame of one camera, waiting its turn."""

    camera: str
    image: Image
    result: asyncio.Future[Detections]


class DetectorShare:
    """Runs the detector in a thread of its own, for one frame of each camera at a time.

    A camera has at most one frame waiting, so one that floods takes no more turns than the others.
    Cancelling one camera, or a frame that makes the model fail, hurts no other camera.

    Args:
        detector: the light model.
        min_score: weakest boxes wanted.
        max_batch: most frames in one call.
        registry: where the metrics go.
    """

    def __init__(
        self, detector: Detector, min_score: float, max_batch: int, registry: CollectorRegistry
    ) -> None:
        self._detector = detector
        self._min_score = min_score
        self._max_batch = max(1, min(max_batch, detector.info.max_batch))
        self._waiting: dict[str, _Request] = {}
        self._turn: dict[str, int] = {}
        self._turns = 0
        self._arrived = anyio.Event()
        self._thread = ThreadPoolExecutor(1, "detector")
        self._seconds = Histogram(
            "secondlook_edge_detector_seconds",
            "One call of the light model.",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
            registry=registry,
        )
        self._failures = Counter(
            "secondlook_edge_detector_failures",
            "Frames on which the light model gave nonsense.",
            registry=registry,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Class names of the model."""
        return self._detector.info.names

    async def detect(self, camera: str, image: Image) -> Detections:
        """What the model sees in a frame; waits for the camera's turn.

        Raises:
            ModelFailure: the model gave nonsense for this frame.
            InvalidInput: not an image.
        """
        assert camera not in self._waiting, "a camera waits for one frame at a time"
        result: asyncio.Future[Detections] = asyncio.get_running_loop().create_future()
        self._waiting[camera] = _Request(camera, image, result)
        self._arrived.set()
        try:
            return await result
        finally:
            request = self._waiting.get(camera)
            if request is not None and request.result is result:
                del self._waiting[camera]

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._waiting:
                await self._serve(self._next())

    def close(self) -> None:
        """Wait for the call that runs and let the thread go."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> list[_Request]:
        """The requests of those served longest ago."""
        order = sorted(self._waiting, key=lambda camera: self._turn.get(camera, -1))
        chosen = [self._waiting.pop(camera) for camera in order[: self._max_batch]]
        for request in chosen:
            self._turns += 1
            self._turn[request.camera] = self._turns
        return chosen

    async def _serve(self, requests: Sequence[_Request]) -> None:
        try:
            found = await self._call([request.image for request in requests])
        except SecondlookError as error:
            if len(requests) > 1:
                # One frame of the batch is to blame; each is tried alone.
                for request in requests:
                    await self._serve([request])
                return
            self._failures.inc()
            _fail(requests, error)
            return
        except Exception as error:  # noqa: BLE001 - told to the cameras whose frames these are
            _fail(requests, error)
            return
        for request, detections in zip(requests, found, strict=True):
            if not request.result.done():
                request.result.set_result(detections)

    async def _call(self, images: list[Image]) -> list[Detections]:
        loop = asyncio.get_running_loop()
        with self._seconds.time():
            return await loop.run_in_executor(
                self._thread, self._detector.detect, images, self._min_score
            )


def _fail(requests: Sequence[_Request], error: Exception) -> None:
    for request in requests:
        if not request.result.done():
            request.result.set_exception(error)
