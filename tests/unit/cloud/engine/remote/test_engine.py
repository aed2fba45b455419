"""The engine `remote` beyond what every engine promises: other people's servers, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.engine import Bench, asked_picture, engine_over, numbers, offer
from support.inference import inference_server
from support.networks import NAMES, blank, paint, write_bright_spot_model
from support.networks_raw import write_arithmetic_model
from support.oip_server import OipServer, oip_server
from support.waiting import until

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.remote import RemoteEngine, RemoteSettings
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.stability import BreakerMetrics, BreakerSettings, BreakerState, Guard
from secondlook.shared.clock import Deadline, ManualClock, SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    ModelFailure,
    NotFound,
    Overloaded,
    Unavailable,
)

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


def soon(model: str = "", version: str = "", seconds: float = 30.0) -> Ask:
    return Ask(Deadline.after(seconds, CLOCK), model, version)


@asynccontextmanager
async def asking(port: int, **settings: object) -> AsyncIterator[RemoteEngine]:
    made = RemoteSettings(address=f"127.0.0.1:{port}", **settings)  # type: ignore[arg-type]
    async with RemoteEngine(made).running() as engine:
        yield engine


@pytest.fixture
async def far() -> AsyncIterator[tuple[LocalEngine, Bench, int]]:
    """A server with one model, asked by nobody yet."""
    bench = Bench()
    async with (
        engine_over(bench, offer("first", 1)) as engine,
        inference_server(engine) as (port, _),
    ):
        yield engine, bench, port
        bench.release()
        for backend in bench.opened:
            backend.release()


async def test_who_goes_away_is_forgotten_there_and_its_neighbours_answered(
    far: tuple[LocalEngine, Bench, int],
) -> None:
    _, bench, port = far
    device = bench.of(1)
    async with asking(port) as engine:
        device.hold()
        first = asyncio.ensure_future(engine.infer(numbers(1), soon("first")))
        await anyio.to_thread.run_sync(device.wait_entered)
        gone, stays = (
            asyncio.ensure_future(engine.infer(numbers(n), soon("first"))) for n in (2, 3)
        )
        (counted,) = far[0].statistics("first")
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        device.release()
        assert (await first).outputs["y"][0, 0] == 1001
        assert (await stays).outputs["y"][0, 0] == 1003
        assert counted.success.count == 2


async def test_a_deadline_ends_the_call_while_the_network_runs(
    far: tuple[LocalEngine, Bench, int],
) -> None:
    _, bench, port = far
    async with asking(port) as engine:
        bench.of(1).hold()
        with pytest.raises(DeadlineExceeded):
            await engine.infer(numbers(1), soon("first", seconds=0.05))
        with pytest.raises(DeadlineExceeded):
            await engine.detect(asked_picture(1), soon("first", seconds=0.05))
        bench.of(1).release()
        assert (await engine.infer(numbers(1), soon("first"))).outputs["y"][0, 0] == 1001


async def test_more_than_may_be_under_way_is_refused_at_once(
    far: tuple[LocalEngine, Bench, int],
) -> None:
    _, bench, port = far
    device = bench.of(1)
    async with asking(port, max_in_flight=1) as engine:
        device.hold()
        first = asyncio.ensure_future(engine.infer(numbers(1), soon("first")))
        await anyio.to_thread.run_sync(device.wait_entered)
        with pytest.raises(Overloaded):
            await engine.infer(numbers(2), soon("first"))
        device.release()
        await first
        await engine.infer(numbers(2), soon("first"))


async def test_a_drain_waits_for_what_is_under_way(far: tuple[LocalEngine, Bench, int]) -> None:
    _, bench, port = far
    device = bench.of(1)
    async with asking(port) as engine:
        device.hold()
        first = asyncio.ensure_future(engine.infer(numbers(1), soon("first")))
        await anyio.to_thread.run_sync(device.wait_entered)
        draining = asyncio.ensure_future(engine.drain())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await engine.infer(numbers(2), soon("first"))
        assert not draining.done()
        device.release()
        assert (await first).outputs["y"][0, 0] == 1001
        await draining


async def test_a_server_that_goes_away_is_unavailable() -> None:
    bench = Bench()
    async with engine_over(bench, offer("first", 1)) as served:
        async with inference_server(served) as (port, _):
            made = RemoteSettings(address=f"127.0.0.1:{port}")
            running = RemoteEngine(made).running()
            engine = await running.__aenter__()
        with pytest.raises(Unavailable):
            await engine.infer(numbers(1), soon("first"))
        await running.__aexit__(None, None, None)
    with pytest.raises(Unavailable):
        async with asking(port, timeout_s=2.0):
            pass


async def test_what_changes_there_is_seen_here(far: tuple[LocalEngine, Bench, int]) -> None:
    served, bench, port = far
    bench.offers["late"] = offer("late", 3)
    async with asking(port, refresh_s=0.02) as engine:
        with pytest.raises(NotFound):
            engine.signature("late")
        await served.load("late")
        await until(lambda: any(entry.name == "late" for entry in engine.index()))
        assert (await engine.infer(numbers(1), soon("late"))).ran.version == "3"


async def test_only_the_models_that_are_named_are_offered(
    far: tuple[LocalEngine, Bench, int],
) -> None:
    async with asking(far[2], models=("other",)) as engine:
        assert list(engine.index()) == []
        with pytest.raises(NotFound, match="first"):
            await engine.infer(numbers(1), soon("first"))
        with pytest.raises(NotFound, match="no detector"):
            engine.detector()


@pytest.fixture
def spots(tmp_path: Path) -> Iterator[tuple[OipServer, Backend]]:
    """A detector's network behind a server that knows nothing of pictures."""
    file = write_bright_spot_model(tmp_path / "spots.onnx")
    release = Release(ModelConfig("spots", "onnxruntime"), "1", file, digest="0" * 64)
    backend = open_backend(release, threads=1)
    with oip_server("spots", backend) as server:
        server.parameters = {"names": str(list(NAMES)), "head": "yolov8"}
        server.parameters["input_layout"] = "nhwc_bgr_uint8"
        yield server, backend
    backend.close()


async def test_a_bare_network_elsewhere_is_prepared_for_and_read_here(
    spots: tuple[OipServer, Backend],
) -> None:
    server, backend = spots
    picture = blank(100, 80)
    paint(picture, (20, 30, 44, 60), NAMES[0])
    assert backend.detector is not None
    (expected,) = backend.detector.detect([picture])
    assert len(expected)
    async with asking(int(server.address.rpartition(":")[2]), models=("spots",)) as engine:
        assert engine.detector("spots").head == backend.detector.info.head
        found = [await engine.detect(picture, soon("spots")) for _ in range(2)]
        many = await _together(engine, picture, 8)
    for one in (*found, *many):
        np.testing.assert_array_equal(one.detections.boxes, expected.boxes)
        np.testing.assert_array_equal(one.detections.classes, expected.classes)


async def _together(engine: RemoteEngine, picture: np.ndarray, count: int) -> list:  # type: ignore[type-arg]
    return await asyncio.gather(*(engine.detect(picture, soon("spots")) for _ in range(count)))


@pytest.fixture
def untold(tmp_path: Path) -> Iterator[OipServer]:
    """A server that tells no configuration, as MLServer and KServe (real ones: heavy)."""
    file = write_arithmetic_model(tmp_path / "numbers.onnx")
    release = Release(ModelConfig("numbers", "onnxruntime"), "1", file, digest="0" * 64)
    backend = open_backend(release, threads=1)
    with oip_server("numbers", backend, tells_config=False) as server:
        yield server
    backend.close()


async def test_mlserver_says_ready_in_its_own_way(untold: OipServer) -> None:
    untold.state = "State.READY"
    async with asking(int(untold.address.rpartition(":")[2])) as engine:
        assert [spec.name for spec in engine.signature("numbers").inputs] == ["a", "b", "index"]
    untold.state = "State.LOADING"
    async with asking(int(untold.address.rpartition(":")[2])) as engine:
        with pytest.raises(NotFound):
            engine.signature("numbers")


async def test_kserve_has_no_index_and_names_models_in_its_own_way(untold: OipServer) -> None:
    untold.called = "kserve"
    rows = 1000
    x = {name: np.ones((rows, 4), np.float32) for name in ("a", "b")}
    x["index"] = np.zeros((rows, 1), np.int64)
    port = int(untold.address.rpartition(":")[2])
    async with asking(port, models=("numbers", "other")) as engine:
        states = {entry.name: entry.state for entry in engine.index()}
        assert states == {"numbers": State.READY, "other": State.UNAVAILABLE}
        # No bound is told; the server has its own, and says so.
        assert engine.signature("numbers").rows(x) == rows
        await engine.unload("numbers")
        assert untold.unloads[0].repository_name == "numbers"
        with pytest.raises(NotFound, match="not ready"):
            engine.signature("numbers")


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"gone\.pem"):
        async with asking(1, ca=tmp_path / "gone.pem", tls=True):
            pass


async def test_a_server_that_keeps_failing_is_left_alone_and_asked_again_later(
    far: tuple[LocalEngine, Bench, int],
) -> None:
    _, bench, port = far
    clock = ManualClock()
    settings = BreakerSettings(window_s=1.0, windows=3, min_calls=2, open_s=5.0)
    guard = Guard("there", settings, BreakerMetrics(CollectorRegistry()), clock, lanes=0)
    device = bench.of(1)
    made = RemoteEngine(RemoteSettings(address=f"127.0.0.1:{port}"), guard=guard)
    async with made.running() as engine:
        device.broken = True
        for _ in range(12):
            with pytest.raises((ModelFailure, Unavailable)):
                await engine.infer(numbers(1), soon("first"))
            clock.advance(0.4)
        called = len(device.calls)
        with pytest.raises(Unavailable, match="cut off"):
            await engine.infer(numbers(1), soon("first"))
        assert len(device.calls) == called
        device.broken = False
        clock.advance(30.0)
        for _ in range(10):
            assert (await engine.infer(numbers(1), soon("first"))).outputs["y"][0, 0] == 1001
            clock.advance(1.0)
        assert guard.state is BreakerState.CLOSED


async def test_whoever_gives_no_time_has_no_complaint(far: tuple[LocalEngine, Bench, int]) -> None:
    _, bench, port = far
    settings = BreakerSettings(window_s=0.01, windows=1, min_calls=1)
    guard = Guard("there", settings, BreakerMetrics(CollectorRegistry()), lanes=0)
    made = RemoteEngine(RemoteSettings(address=f"127.0.0.1:{port}"), guard=guard)
    async with made.running() as engine:
        bench.of(1).hold()
        for _ in range(5):
            with pytest.raises(DeadlineExceeded):
                await engine.infer(numbers(1), soon("first", seconds=0.02))
        bench.of(1).release()
        assert guard.state is BreakerState.CLOSED
