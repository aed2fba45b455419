"""What stands before a deployment, over a cluster that does as it is told. (Real ones: heavy.)"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.engine import asked_picture, numbers, offer
from support.waiting import eventually

from secondlook.cloud.engine.asking import Ask, Priority, Ran
from secondlook.cloud.engine.batching import IMAGES, TENSORS, ImageInput, TensorInput
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.ray import RaySettings, front
from secondlook.cloud.engine.ray.deployed import Deployed
from secondlook.cloud.engine.ray.front import RayFront
from secondlook.cloud.engine.ray.messages import Answered, Described, Failed, Question
from secondlook.cloud.engine.tensors import Signature, TensorSpec
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailure,
    Overloaded,
    Unavailable,
)

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
RAN = Ran("first", "1", "fp32", 0.001, 0.002, 3)
FULL = Answered({"y": np.zeros((1, 2), np.float32)}, RAN)


class RayError(Exception):
    pass


class RayTaskError(RayError):
    cause: Exception | None = None


class RayServeException(Exception):
    pass


class BackPressureError(RayServeException):
    pass


class Response:
    """What Ray gives at once; awaited for the answer."""

    def __init__(self, told: Any) -> None:
        self.told = told
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def __await__(self) -> Any:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        if isinstance(self.told, asyncio.Event):
            await self.told.wait()
            return FULL
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


class Cluster:
    """Answers as its script says, the last line for ever."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[Question] = []
        self.responses: list[Response] = []
        self.ask = SimpleNamespace(remote=self._remote)
        self.deleted = 0

    def _remote(self, question: Question) -> Response:
        self.asked.append(pickle.loads(pickle.dumps(question)))
        told = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.responses.append(Response(told))
        return self.responses[-1]

    def delete(self) -> None:
        self.deleted += 1


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def before(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> Callable[..., tuple[RayFront, Cluster]]:
    ray = SimpleNamespace(exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError))
    serve = SimpleNamespace(
        exceptions=SimpleNamespace(
            RayServeException=RayServeException, BackPressureError=BackPressureError
        )
    )
    monkeypatch.setattr(front, "libraries", lambda: (ray, serve))
    monkeypatch.setattr(front, "RETRY_S", 0.0)

    def make(*script: Any, **settings: Any) -> tuple[RayFront, Cluster]:
        cluster = Cluster(*script)
        x = TensorSpec("x", "FP32", (2,))
        told = Described(Signature((x,), (TensorSpec("y", "FP32", (2,)),), 4), None, "CPU", 7)
        (release,) = offer("first", 1).releases
        opened = Opened(release, [Deployed(cluster, told, cluster.delete)])
        counted = EngineMetrics(registry).of_batcher("first", "1", "fp32")
        return RayFront(opened, RaySettings(**settings), CLOCK, counted), cluster

    return make


def ask(seconds: float = 30.0, **fields: Any) -> Ask:
    return Ask(Deadline.after(seconds, CLOCK), "first", **fields)


async def test_a_question_travels_with_the_time_that_is_left(before: Any) -> None:
    made, cluster = before(FULL)
    asked = ask(priority=Priority.AUDIT, tenant="a", camera="b", request_id="c")
    got, ran = await made.submit(TENSORS, TensorInput(numbers(1, 2)), asked, reason="because")
    assert got["y"].shape == (1, 2)
    assert ran == Ran("first", "1", "fp32", 0.001, 0.002, 3, "because")
    (question,) = cluster.asked
    assert question.lane() is TENSORS
    assert 29 < question.useful_for_s <= 30
    there = question.ask(CLOCK)
    assert (there.priority, there.tenant, there.camera, there.request_id) == (1, "a", "b", "c")
    assert made.statistics.inferences == 2
    assert made.statistics.success.count == 1


async def test_what_dies_under_a_request_is_asked_again(before: Any) -> None:
    made, cluster = before(RayError("died"), RayServeException("gone"), FULL)
    await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    assert len(cluster.asked) == 3
    assert made.retried == 2
    assert made.statistics.fail.count == 0


async def test_what_drains_sends_its_requests_elsewhere(before: Any) -> None:
    made, cluster = before(Failed(Unavailable("draining")), FULL)
    await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    assert len(cluster.asked) == 2


async def test_after_so_many_tries_it_is_unavailable(before: Any) -> None:
    made, cluster = before(RayError("died"), attempts=3)
    with pytest.raises(Unavailable, match="RayError"):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    assert len(cluster.asked) == 3
    assert made.statistics.fail.count == 1


@pytest.mark.parametrize("error", [ModelFailure("NaN"), Overloaded("full", retry_after_s=0.5)])
async def test_errors_of_the_replica_are_the_callers(before: Any, error: Exception) -> None:
    made, cluster = before(Failed(error))  # type: ignore[arg-type]
    with pytest.raises(type(error)) as raised:
        await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    assert raised.value is error
    assert len(cluster.asked) == 1


async def test_a_full_deployment_is_overloaded(before: Any) -> None:
    made, _ = before(BackPressureError("full"))
    with pytest.raises(Overloaded):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask())


async def test_the_deadline_and_the_caller_cancel_the_call(before: Any) -> None:
    never = asyncio.Event()
    made, cluster = before(never)
    with pytest.raises(DeadlineExceeded):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask(0.01))
    gone = asyncio.ensure_future(made.submit(TENSORS, TensorInput(numbers(1)), ask()))
    await eventually(lambda: len(cluster.responses) == 2)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert all(response.cancelled for response in cluster.responses)
    assert made.in_flight == 0


async def test_what_cannot_work_never_leaves(before: Any) -> None:
    made, cluster = before(FULL)
    with pytest.raises(InvalidInput, match="inputs are"):
        await made.submit(TENSORS, TensorInput({}), ask())
    with pytest.raises(InvalidInput, match="no output"):
        await made.submit(TENSORS, TensorInput(numbers(1), ("z",)), ask())
    with pytest.raises(InvalidInput, match="images"):
        await made.submit(IMAGES, ImageInput(asked_picture(1), 0.1), ask())
    with pytest.raises(DeadlineExceeded):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask(0.0))
    assert cluster.asked == []


async def test_a_drain_refuses_what_comes_and_waits_for_what_was_accepted(before: Any) -> None:
    answered = asyncio.Event()
    made, cluster = before(answered, max_in_flight=1)
    first = asyncio.ensure_future(made.submit(TENSORS, TensorInput(numbers(1)), ask()))
    await eventually(lambda: bool(cluster.responses))
    with pytest.raises(Overloaded):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    draining = asyncio.ensure_future(made.drain())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    assert cluster.deleted == 0
    answered.set()
    await first
    await draining
    assert cluster.deleted == 1


async def test_what_one_process_in_front_sees_is_counted_there(
    before: Any, registry: CollectorRegistry
) -> None:
    never = asyncio.Event()
    made, _ = before(FULL, Failed(Overloaded("full")), never)
    await made.submit(TENSORS, TensorInput(numbers(1)), ask())
    with pytest.raises(Overloaded):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask(tenant="north"))
    with pytest.raises(DeadlineExceeded):
        await made.submit(TENSORS, TensorInput(numbers(1)), ask(0.01))

    def counted(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(
            f"secondlook_cloud_engine_{name}", {"model": "first", **labels}
        )

    assert counted("request_seconds_count") == 1
    assert counted("wait_seconds_sum") == pytest.approx(RAN.queue_s)
    assert counted("refused_total", tenant="north") == 1
    assert counted("dropped_total", reason="expired") == 1
