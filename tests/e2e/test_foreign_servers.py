"""The backend and the engine `remote` on servers that others have written: MLServer, KServe."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.foreign_servers import KINDS, Foreign, kserve, mlserver

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.remote import RemoteEngine, RemoteSettings
from secondlook.cloud.engine.tensors import DTYPES
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.stability import BreakerMetrics, BreakerSettings, BreakerState, Guard
from secondlook.shared.clock import Deadline, ManualClock, SystemClock
from secondlook.shared.errors import InvalidInput, ModelFailure, NotFound, Unavailable

# What an environment takes to be made counts as well.
pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(600)]

CLOCK = SystemClock()
NAMES = ("numbers", "same", "nobody")


@pytest.fixture(scope="module", params=[mlserver, kserve], ids=["mlserver", "kserve"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    server: Foreign = request.param(tmp_path_factory.mktemp("foreign"))
    return server


@pytest.fixture
def server(made: Foreign) -> Any:
    with made.running():
        yield made


@asynccontextmanager
async def engine_on(server: Foreign, guard: Guard | None = None) -> AsyncIterator[RemoteEngine]:
    settings = RemoteSettings(address=f"127.0.0.1:{server.port}", models=NAMES)
    async with RemoteEngine(settings, guard=guard).running() as engine:
        yield engine


def soon(model: str, version: str = "") -> Ask:
    return Ask(Deadline.after(30.0, CLOCK), model, version)


def x(*rows: tuple[float, ...]) -> dict[str, np.ndarray]:
    return {"x": np.array(rows, np.float32)}


def of_all_kinds(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    return {
        name: rng.integers(0, 2 if kind == "BOOL" else 100, (rows, 3)).astype(DTYPES[kind])
        for name, kind in KINDS.items()
    }


async def test_engine(server: Foreign) -> None:
    """One start of the server for all that is asked of it in order."""
    async with engine_on(server) as engine:
        ready = {entry.name for entry in engine.index() if entry.state is State.READY}
        assert ready == {"numbers", "same"}
        signature = engine.signature("numbers")
        assert [(spec.name, spec.dtype) for spec in signature.inputs] == [("x", "FP32")]
        assert [spec.name for spec in signature.outputs] == ["y"]

        got = await engine.infer(x((1, 2)), soon("numbers"))
        assert got.outputs["y"].tolist() == [[1001, 1002]]
        assert (got.ran.model, got.ran.version) == ("numbers", server.version)
        got = await engine.infer(x((1, 2)), soon("numbers", server.version), ["y"])
        assert list(got.outputs) == ["y"]
        # No bound is told, so none holds here.
        many = await engine.infer(x(*[(1, 2)] * 5000), soon("numbers"))
        assert many.outputs["y"].shape == (5000, 2)
        await _kinds(engine)

        for wrong in (x((1, 2, 3)), {"x": np.zeros((1, 2), np.float64)}, {"z": x((1, 2))["x"]}, {}):
            with pytest.raises(InvalidInput):
                await engine.infer(wrong, soon("numbers"))
        with pytest.raises(InvalidInput, match="no output"):
            await engine.infer(x((1, 2)), soon("numbers"), ["z"])
        with pytest.raises(InvalidInput, match="unlucky"):
            await engine.infer(x((13, 2)), soon("numbers"))
        with pytest.raises(ModelFailure):
            await engine.infer(x((-13, 2)), soon("numbers"))
        for model, version in (("nobody", ""), ("numbers", "v8")):
            with pytest.raises(NotFound):
                await engine.infer(x((1, 2)), soon(model, version))

        # KServe unloads, and then fails at its own answer; MLServer does as it is told.
        try:
            await engine.unload("numbers")
        except ModelFailure:
            assert server.name == "kserve"
        with pytest.raises(NotFound):
            await engine.infer(x((1, 2)), soon("numbers"))
        if server.indexed:
            await engine.load("numbers")
            assert (await engine.infer(x((5, 6)), soon("numbers"))).outputs["y"][0, 0] == 1005


async def _kinds(engine: RemoteEngine) -> None:
    tensors = of_all_kinds(2)
    if any(spec.dtype == "BYTES" for spec in engine.signature("same").inputs):
        tensors["t"] = np.array([["ä".encode(), b"", b"c" * 5000]] * 2, np.object_)
    got = await engine.infer(tensors, soon("same"))
    for name, array in tensors.items():
        back = got.outputs[name.upper()]
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_backend(server: Foreign) -> None:
    def opened(model: str, **said: str) -> Any:
        address = {"address": f"127.0.0.1:{server.port}", "remote_model": model, **said}
        config = ModelConfig("here", "remote", parameters=address)
        return open_backend(Release(config, "1", Path("/nowhere")))

    backend = opened("numbers", remote_version=server.version)
    backend.warm_up()
    assert backend.run(x((1, 2), (3, 4)))["y"].tolist() == [[1001, 1002], [1003, 1004]]
    with pytest.raises(InvalidInput):
        backend.run(x((1, 2, 3)))
    with pytest.raises(InvalidInput, match="unlucky"):
        backend.run(x((13, 2)))
    with pytest.raises(ModelFailure):
        backend.run(x((-13, 2)))
    assert backend.run(x((5, 6)))["y"][0, 0] == 1005
    backend.close()
    with pytest.raises(Unavailable):
        opened("nobody")


async def test_a_server_that_goes_is_cut_off_and_comes_back(made: Foreign) -> None:
    clock = ManualClock()
    breaker = BreakerSettings(window_s=1.0, windows=3, min_calls=2, open_s=5.0)
    guard = Guard("there", breaker, BreakerMetrics(CollectorRegistry()), clock, lanes=0)
    with ExitStack() as running:
        await anyio.to_thread.run_sync(running.enter_context, made.running())
        async with engine_on(made, guard) as engine:

            async def ask() -> float:
                got = await engine.infer(x((1, 2)), soon("numbers"))
                first: float = got.outputs["y"][0, 0]
                return first

            assert await ask() == 1001
            await anyio.to_thread.run_sync(running.close)
            for _ in range(12):
                with pytest.raises(Unavailable):
                    await ask()
                clock.advance(0.4)
            with pytest.raises(Unavailable, match="cut off"):
                await ask()
            assert guard.state is BreakerState.OPEN

            await anyio.to_thread.run_sync(running.enter_context, made.running())
            with anyio.fail_after(60):
                while guard.state is not BreakerState.CLOSED:
                    # Longer than any pause. The channel has pauses of its own, of real time.
                    clock.advance(70.0)
                    with contextlib.suppress(Unavailable):
                        await ask()
                    await anyio.sleep(0.05)
            assert await ask() == 1001
