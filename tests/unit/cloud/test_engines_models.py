"""From the settings to an engine with the models that they name."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import settings
from support.engine import numbers
from support.networks import write_bright_spot_model
from support.versioned import publish, write_adder
from support.waiting import eventually

from secondlook.cloud.engine.adapting.controller import MISSED
from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.catalogue import State
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engines import running_engine
from secondlook.cloud.repository.variants import Measured, write_record
from secondlook.cloud.stability import BreakerMetrics, Breakers, BreakerSettings
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import InvalidConfig, InvalidModel, NotFound, PermissionDenied

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
FAILED = "it started"


def running(breakers: Breakers | None = None, **tables: Any) -> AbstractAsyncContextManager[Engine]:
    given = settings(**{"models": [], **tables})
    return running_engine(given, CollectorRegistry(), CLOCK, breakers=breakers)


def repository(*paths: Path, **more: Any) -> dict[str, Any]:
    return {"repository": {"paths": [str(path) for path in paths], "poll_s": 0.05, **more}}


async def answered(engine: Engine, version: str = "") -> tuple[int, str]:
    """The number that the network gave, and the version that signs."""
    got = await engine.infer(numbers(7), Ask(Deadline.after(30, CLOCK), "adder", version))
    return int(got.outputs["y"][0, 0]), got.ran.version


def states(engine: Engine) -> dict[tuple[str, str], State]:
    return {(entry.name, entry.version): entry.state for entry in engine.index()}


async def test_a_single_file_is_a_detector_and_takes_tensors_too(tmp_path: Path) -> None:
    path = write_bright_spot_model(tmp_path / "spots.onnx")
    models = [{"name": "spots", "path": str(path), "threads": 1}]
    async with running(models=models) as engine:
        assert engine.detector().name == "spots"
        assert engine.detector().version == "1"
        assert [spec.name for spec in engine.signature("spots").inputs] == ["images"]
        assert states(engine) == {("spots", "1"): State.READY}


async def test_a_single_file_that_is_no_model_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    models = [{"name": "bad", "path": str(tmp_path / "bad.onnx")}]
    with pytest.raises(InvalidModel, match=r"bad\.onnx"):
        async with running(models=models):
            pytest.fail(FAILED)


async def test_a_repository_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"repository\.paths"):
        async with running(**repository(tmp_path / "nowhere")):
            pytest.fail(FAILED)


async def test_a_model_of_the_repository_that_is_bad_does_not(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    publish(tmp_path, "bad", 1, b"nothing")
    async with running(**repository(tmp_path)) as engine:
        assert await answered(engine) == (1007, "1")
        assert states(engine) == {
            ("adder", "1"): State.READY,
            ("bad", "1"): State.UNAVAILABLE,
        }
        with pytest.raises(PermissionDenied, match="explicit"):
            await engine.unload("adder")


async def test_it_follows_the_files(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    async with running(**repository(tmp_path)) as engine:
        publish(tmp_path, "adder", 2)
        await eventually(lambda: states(engine) == {("adder", "2"): State.READY})
        assert await answered(engine) == (2007, "2")


async def test_without_control_what_was_there_at_the_start_stays(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    async with running(**repository(tmp_path, control="none")) as engine:
        publish(tmp_path, "adder", 2)
        assert await answered(engine) == (1007, "1")
        with pytest.raises(PermissionDenied, match="explicit"):
            await engine.load("adder")


async def test_with_explicit_control_callers_decide(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    publish(tmp_path, "other", 1)
    async with running(**repository(tmp_path, control="explicit", load=["adder"])) as engine:
        assert states(engine) == {("adder", "1"): State.READY, ("other", ""): State.UNAVAILABLE}
        await engine.load("other")
        publish(tmp_path, "adder", 2)
        await engine.load("adder")
        assert await answered(engine) == (2007, "2")
        publish(tmp_path, "adder", 3, b"nothing")
        with pytest.raises(InvalidModel, match="adder"):
            await engine.load("adder")
        assert await answered(engine) == (2007, "2")
        await engine.unload("adder")
        with pytest.raises(NotFound):
            await answered(engine)


async def test_what_is_to_be_loaded_at_the_start_has_to_be_there(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    tables = repository(tmp_path, control="explicit", load=["nobody"])
    with pytest.raises(NotFound, match="nobody"):
        async with running(**tables):
            pytest.fail(FAILED)


async def test_two_versions_share_a_name(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    publish(tmp_path, "adder", 2)
    (tmp_path / "adder" / "config.pbtxt").write_text(
        "version_policy { all {} }\n"
        'parameters { key: "share.1" value { string_value: "1" } }\n'
        'parameters { key: "share.2" value { string_value: "1" } }\n'
    )
    async with running(**repository(tmp_path)) as engine:
        assert await answered(engine, "1") == (1007, "1")
        assert await answered(engine, "2") == (2007, "2")
        turns = [await answered(engine) for _ in range(10)]
        assert {turn[1] for turn in turns} == {"1", "2"}


def publish_variant(folder: Path, f1: float) -> None:
    """An int8 of version 1 that was measured; it answers as if it were version 2."""
    base, fast = folder / "model.onnx", folder / "model.int8.onnx"
    write_adder(fast, 2)
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (fast, base)]
    measured = Measured(
        file=fast.name,
        sha256=digests[0],
        base=base.name,
        base_sha256=digests[1],
        f1=f1,
        min_f1=0.9,
        score=0.25,
        images=8,
        boxes=20,
        speed=2.0,
        provider="CPU",
        left_out=0,
        tools={},
        made="2026-01-01T00:00:00Z",
    )
    write_record(folder, "int8", measured)


async def test_where_the_objective_is_missed_a_measured_variant_answers(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    await anyio.to_thread.run_sync(publish_variant, tmp_path / "adder" / "1", 0.98)
    (tmp_path / "adder" / "config.pbtxt").write_text(
        'parameters { key: "variant.int8" value { string_value: "model.int8.onnx" } }\n'
        'parameters { key: "objective_ms" value { string_value: "0.001" } }\n'
    )
    async with running(**repository(tmp_path)) as engine:
        assert isinstance(engine, LocalEngine)
        steering = engine._lineups._lines["adder"].choosing._steering
        assert steering is not None
        assert await answered(engine) == (1007, "1")
        for _ in range(MISSED + 1):
            await answered(engine)
            steering.look()
        ask = Ask(Deadline.after(30, CLOCK), "adder")
        got = await engine.infer(numbers(7), ask)
        assert got.outputs["y"][0, 0] == 2007
        assert (got.ran.version, got.ran.variant) == ("1", "int8")
        assert "objective 0.001 ms" in got.ran.reason
        assert (await engine.infer(numbers(7), replace(ask, version="1"))).ran.variant == "fp32"


async def test_a_variant_that_agrees_too_little_is_never_loaded(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    await anyio.to_thread.run_sync(publish_variant, tmp_path / "adder" / "1", 0.5)
    (tmp_path / "adder" / "config.pbtxt").write_text(
        'parameters { key: "variant.int8" value { string_value: "model.int8.onnx" } }\n'
    )
    async with running(**repository(tmp_path)) as engine:
        assert isinstance(engine, LocalEngine)
        assert list(engine._lineups.ready("adder").main.variants) == ["fp32"]
        (entry,) = engine.index()
        assert entry.state is State.READY


async def test_copies_share_one_breaker_and_it_goes_with_the_version(tmp_path: Path) -> None:
    publish(tmp_path, "adder", 1)
    (tmp_path / "adder" / "config.pbtxt").write_text("instance_group [ { count: 2 } ]\n")
    breakers = Breakers(BreakerSettings(), BreakerMetrics(CollectorRegistry()), CLOCK)
    tables = repository(tmp_path, control="explicit", load=["adder"])
    async with running(breakers, **tables) as engine:
        assert [guard.name for guard in breakers.guards()] == ["adder:1:fp32"]
        assert await answered(engine) == (1007, "1")
        await engine.unload("adder")
        await eventually(lambda: not breakers.guards())


async def test_more_models_than_memory_are_loaded_when_they_are_asked_for(tmp_path: Path) -> None:
    for name in ("adder", "second", "third"):
        publish(tmp_path, name, 1)
    tables = repository(tmp_path, memory_mb=17)
    async with running(prefetch={"enabled": False}, **tables) as engine:
        held = [name for (name, _), state in states(engine).items() if state is State.READY]
        assert held == ["adder", "second"]
        ask = Ask(Deadline.after(30, CLOCK), "third")
        assert (await engine.infer(numbers(7), ask)).outputs["y"][0, 0] == 1007
        assert states(engine)["third", "1"] is State.READY
        assert sum(state is State.READY for state in states(engine).values()) == 2
