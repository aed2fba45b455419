"""In front of one deployment: deadlines, bounds, and another try where a replica dies."""

from __future__ import annotations

import random
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.batching import TENSORS
from secondlook.cloud.engine.batching.lanes import Kind, TensorInput
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.metrics import BatcherMetrics
from secondlook.cloud.engine.ray.deployed import Deployed
from secondlook.cloud.engine.ray.libraries import libraries
from secondlook.cloud.engine.ray.messages import Failed, Question
from secondlook.cloud.engine.ray.settings import RaySettings
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.watched import watched
from secondlook.shared.clock import Clock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailure,
    Overloaded,
    SecondlookError,
    Unavailable,
)

P = TypeVar("P")
R = TypeVar("R")

RETRY_S = 0.05
"""Wait before a request is asked again, times its tries, and by chance up to twice that."""


class RayFront:
    """See `secondlook.cloud.engine.front.Front`.

    An inference has no effects, so one whose replica dies is asked again, of another, until its
    deadline: a node that goes away costs time and no answer.

    Args:
        opened: what was deployed.
        settings: how much at once, how many tries.
        clock: the clock of the deadlines.
        metrics: what is counted here; the replicas count for themselves.
    """

    def __init__(
        self, opened: Opened, settings: RaySettings, clock: Clock, metrics: BatcherMetrics
    ) -> None:
        (backend,) = opened.backends
        assert isinstance(backend, Deployed)
        self._backend = backend
        self._ray, self._serve = libraries()
        self._release = opened.release
        self._guard = opened.guard
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._in_flight = 0
        self._quiet = anyio.Event()
        self._closed = False
        self._rng = random.Random()
        self.retried = 0
        self.statistics = Statistics(opened.release.config.name, opened.release.version)

    @property
    def waiting(self) -> int:
        """None wait here: the replicas have the queues."""
        return 0

    @property
    def in_flight(self) -> int:
        """Requests that were accepted and have no answer yet."""
        return self._in_flight

    def start(self) -> None:
        """Nothing is to be started."""

    def fail_waiting(self, error: Exception) -> int:
        """None wait here."""
        return 0

    async def submit(
        self, kind: Kind[P, R], payload: P, ask: Ask, *, reason: str = ""
    ) -> tuple[R, Ran]:
        """See `Batcher.submit`."""
        rows = self._rows(kind, payload)
        if ask.deadline.expired(self._clock):
            self._metrics.dropped("expired")
            raise DeadlineExceeded()
        if self._closed:
            raise Unavailable("the engine is draining")
        if self._in_flight >= self._settings.max_in_flight:
            self._metrics.refused(ask.tenant)
            raise Overloaded(f"{self._in_flight} requests are under way")
        began_s = self._clock.monotonic()
        self._in_flight += 1
        ran: Ran | None = None
        try:
            result, ran = await self._ask(kind, payload, ask, rows)
        except DeadlineExceeded:
            self._metrics.dropped("expired")
            raise
        except Overloaded:
            self._metrics.refused(ask.tenant)
            raise
        except anyio.get_cancelled_exc_class():
            self._metrics.dropped("cancelled")
            raise
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()
                self._quiet = anyio.Event()
            self._count(rows, self._clock.monotonic() - began_s, ran)
        name, version, variant = ran.model, ran.version, ran.variant
        return result, Ran(name, version, variant, ran.queue_s, ran.infer_s, ran.batch, reason)

    async def drain(self) -> None:
        """Finish what was accepted, then let the deployment go."""
        self._closed = True
        try:
            while self._in_flight:
                await self._quiet.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._backend.close)

    def _rows(self, kind: Kind[Any, Any], payload: Any) -> int:
        if kind is TENSORS:
            assert isinstance(payload, TensorInput)
            known = [spec.name for spec in self._backend.signature.outputs]
            for name in payload.outputs:
                if name not in known:
                    raise InvalidInput(f"no output is named {name[:64]!r}; outputs are {known}")
            return self._backend.signature.rows(payload.tensors)
        if self._backend.detector is None:
            raise InvalidInput(f"{self._release.config.name} cannot be asked by {kind.name}")
        return 1

    async def _ask(
        self, kind: Kind[Any, Any], payload: Any, ask: Ask, rows: int
    ) -> tuple[Any, Ran]:
        tries = 0
        while True:
            left_s = ask.deadline.remaining_s(self._clock)
            if left_s <= 0:
                raise DeadlineExceeded()
            tries += 1
            try:
                with watched(self._guard, rows, left_s):
                    told = await self._once(Question.of(kind, payload, ask, left_s), left_s)
                    if isinstance(told, Failed) and isinstance(told.error, ModelFailure):
                        raise told.error
            except _Gone as gone:
                if tries >= self._settings.attempts:
                    raise Unavailable(f"no replica answered: {gone.why}") from gone
            else:
                if not isinstance(told, Failed):
                    return told.result, told.ran
                # A replica that drains, or has lost its network, says so; another may have it.
                if not isinstance(told.error, Unavailable) or tries >= self._settings.attempts:
                    raise told.error
            self.retried += 1
            wait_s = RETRY_S * tries * (1 + self._rng.random())
            await anyio.sleep(min(wait_s, ask.deadline.remaining_s(self._clock)))

    async def _once(self, question: Question, left_s: float) -> Any:
        exceptions = self._ray.exceptions
        response = self._backend.handle.ask.remote(question)
        try:
            with anyio.fail_after(left_s):
                return await response
        except TimeoutError:
            response.cancel()
            raise DeadlineExceeded() from None
        except anyio.get_cancelled_exc_class():
            response.cancel()
            raise
        except self._serve.exceptions.BackPressureError as error:
            raise Overloaded("the deployment's queue is full") from error
        except exceptions.RayTaskError as error:
            # The replica answers errors of ours as values: this one is nobody's.
            cause = error.cause
            if isinstance(cause, SecondlookError):
                raise cause from error
            raise
        except (exceptions.RayError, self._serve.exceptions.RayServeException) as error:
            raise _Gone(f"{type(error).__name__}") from error

    def _count(self, rows: int, took_s: float, ran: Ran | None) -> None:
        counted = self.statistics
        if ran is None:
            counted.fail.add(took_s)
            return
        self._metrics.answered(ran.queue_s, took_s)
        counted.success.add(took_s)
        counted.inferences += rows
        counted.executions += 1
        counted.queue.add(ran.queue_s)
        counted.compute_infer.add(ran.infer_s)
        counted.batches[ran.batch].add(ran.infer_s)
        counted.last_inference_ms = int(self._clock.wall() * 1000)


class _Gone(Exception):
    """The replica has gone before it answered."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
