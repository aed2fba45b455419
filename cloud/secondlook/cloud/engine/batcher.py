"""Batches what queued while the device was busy, and runs it in one thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import anyio
import anyio.to_thread

from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.queue import Answer, DeadlineQueue, Overflow, Pending
from secondlook.shared.clock import Clock, Deadline, SystemClock
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo
from secondlook.shared.errors import DeadlineExceeded, ModelFailure, Overloaded, Unavailable
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Detections

TOO_LATE = "the answer would come too late to be useful"

_Outcome = tuple[Pending, Answer | BaseException]


class Batcher:
    """One model, one thread, one bounded queue.

    The thread takes its next batch itself as soon as it is free: the device never waits for the
    event loop, nor for a fuller batch (unless ``max_wait_s`` says so). A batch that fails is run
    again one by one, so that a poisoned image costs its neighbours time but not their answer.

    Args:
        detector: the model; closed by `drain`.
        max_batch: most images in one call of the network.
        max_queue: most requests that wait.
        max_wait_s: how long an idle device waits for a fuller batch.
        overflow: what a full queue does.
        clock: the clock of the deadlines.
        metrics: where to count.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        max_batch: int,
        max_queue: int,
        metrics: EngineMetrics,
        max_wait_s: float = 0.0,
        overflow: Overflow = Overflow.REJECT,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._detector = detector
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._queue = DeadlineQueue(max_queue, overflow, self._clock)
        self._metrics = metrics.of_model(detector.info.name)
        self._log = get_logger(__name__)
        self._loop: asyncio.AbstractEventLoop | None = None
        # A daemon, so that a second signal can end a process whose network never returns.
        self._thread = threading.Thread(
            target=self._work, name=f"model-{detector.info.name}", daemon=True
        )

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        return self._detector.info

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return len(self._queue)

    def start(self) -> None:
        """Start the thread; answers go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._metrics.watch_queue(self._queue.__len__)
        self._thread.start()

    async def infer(self, image: Image, *, min_score: float, deadline: Deadline) -> Answer:
        """See `Engine.infer`."""
        now_s = self._clock.monotonic()
        if deadline.at_s <= now_s:
            self._metrics.dropped("expired")
            raise DeadlineExceeded(TOO_LATE)
        loop = asyncio.get_running_loop()
        request = Pending(image, min_score, deadline, now_s, loop.create_future())
        try:
            evicted = self._queue.put(request)
        except Overloaded:
            self._metrics.dropped("overloaded")
            raise
        if evicted is not None:
            self._metrics.dropped("overloaded")
            _fail(evicted, Overloaded("dropped for a newer request"))
        timer = loop.call_later(deadline.at_s - now_s, self._expire, request)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._metrics.dropped("cancelled")
            raise
        finally:
            timer.cancel()
            self._queue.give_up(request)

    async def drain(self) -> None:
        """Finish what was accepted, then stop the thread and close the model."""
        self._queue.close()
        try:
            # A network cannot be interrupted: when the drain's time is over, its thread is left.
            await anyio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)
        finally:
            for request in self._queue.abort():
                _fail(request, Unavailable("the engine has stopped"))
            self._metrics.unwatch_queue()
            if not self._thread.is_alive():
                self._detector.close()

    def _expire(self, request: Pending) -> None:
        self._queue.give_up(request)
        if not request.future.done():
            self._metrics.dropped("expired")
            _fail(request, DeadlineExceeded(TOO_LATE))

    def _work(self) -> None:
        while True:
            taken = self._queue.take(self._max_batch, self._max_wait_s)
            if taken is None:
                return
            batch, expired = taken
            outcomes: list[_Outcome] = [
                (request, DeadlineExceeded(TOO_LATE)) for request in expired
            ]
            if expired:
                self._metrics.dropped("expired", len(expired))
            if batch:
                outcomes += self._run(batch)
            if not self._hand_over(outcomes):
                return

    def _run(self, batch: Sequence[Pending]) -> list[_Outcome]:
        started_s = self._clock.monotonic()
        try:
            found = self._detect(batch)
        except Exception as error:  # noqa: BLE001 - whatever a network raises is its callers' to hear
            if len(batch) == 1:
                return [(batch[0], error)]
            self._log.warning(
                "batch failed, retrying one by one", size=len(batch), error=str(error)
            )
            self._metrics.retried(len(batch))
            return [outcome for request in batch for outcome in self._run_alone(request)]
        infer_s = self._clock.monotonic() - started_s
        self._metrics.ran(len(batch), infer_s)
        return [
            (request, (detections, started_s - request.queued_s, infer_s))
            for request, detections in zip(batch, found, strict=True)
        ]

    def _run_alone(self, request: Pending) -> list[_Outcome]:
        if request.deadline.expired(self._clock):
            self._metrics.dropped("expired")
            return [(request, DeadlineExceeded(TOO_LATE))]
        return self._run([request])

    def _detect(self, batch: Sequence[Pending]) -> list[Detections]:
        lowest = min(request.min_score for request in batch)
        found = self._detector.detect([request.image for request in batch], lowest)
        if len(found) != len(batch):
            raise ModelFailure(f"the model answered {len(found)} of {len(batch)} images")
        return [
            detections
            if request.min_score <= lowest
            else detections.select(detections.scores >= request.min_score)
            for request, detections in zip(batch, found, strict=True)
        ]

    def _hand_over(self, outcomes: list[_Outcome]) -> bool:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_deliver, outcomes)
        except RuntimeError:
            # The loop is closed: nobody is left to hear.
            return False
        return True


def _deliver(outcomes: list[_Outcome]) -> None:
    for request, outcome in outcomes:
        # A caller that has gone has cancelled its future; its neighbours still get theirs.
        if request.future.done():
            continue
        if isinstance(outcome, BaseException):
            request.future.set_exception(outcome)
        else:
            request.future.set_result(outcome)


def _fail(request: Pending, error: BaseException) -> None:
    if not request.future.done():
        request.future.set_exception(error)
