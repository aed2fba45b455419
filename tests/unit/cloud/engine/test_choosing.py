"""Who follows the choice of version and variant, and who does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.engine import Bench, engine_over, numbers, offer, snapshot

from secondlook.cloud.engine.adapting.controller import Choice
from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.choosing import Choosing
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.repository.config import Release
from secondlook.shared.clock import Deadline, SystemClock

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


class Measured(Bench):
    """Its variants lose 1 % and are twice as fast."""

    def open(self, release: Release) -> Opened:
        opened = super().open(release)
        if release.variant == "fp32":
            return opened
        return replace(opened, loss=0.01, speed=2.0)


async def ran(engine: LocalEngine, version: str = "", camera: str = "c") -> Ran:
    ask = Ask(Deadline.after(30, CLOCK), "m", version, camera=camera)
    return (await engine.infer(numbers(1), ask)).ran


def choosing(engine: LocalEngine) -> Choosing:
    return engine._lineups._lines["m"].choosing


def choose(engine: LocalEngine, version: str, variant: str) -> None:
    """As if the latency had asked for it."""
    choice = Choice(version, variant, 1, "p95 was too long")
    steering: Any = SimpleNamespace(choice=choice, close=lambda: None)
    choosing(engine)._steering = steering


async def test_without_an_objective_nothing_is_chosen() -> None:
    async with engine_over(Measured(), offer("m", 1, variants=("int8",))) as engine:
        assert choosing(engine)._steering is None
        got = await ran(engine)
        assert (got.variant, got.reason) == ("fp32", "")


async def test_with_an_objective_the_choice_is_looked_at_and_told() -> None:
    registry = CollectorRegistry()
    served = offer("m", 1, variants=("int8",), objective_s=0.1)
    async with engine_over(Measured(), served, registry=registry) as engine:
        steering = choosing(engine)._steering
        assert steering is not None
        steering.look()
        assert steering.choice is not None
        assert (steering.choice.version, steering.choice.variant) == ("1", "fp32")
        assert (await ran(engine)).reason == steering.choice.reason
        labels = {"model": "m", "version": "1", "variant": "fp32"}
        assert registry.get_sample_value("secondlook_cloud_engine_chosen", labels) == 1


async def test_a_variant_answers_where_it_is_chosen_and_the_reply_says_why() -> None:
    served = offer("m", 1, variants=("int8",), objective_s=0.1)
    async with engine_over(Measured(), served) as engine:
        choose(engine, "1", "int8")
        got = await ran(engine)
        assert (got.version, got.variant, got.reason) == ("1", "int8", "p95 was too long")
        named = await ran(engine, "1")
        assert (named.variant, named.reason) == ("fp32", "")
        (counted,) = engine.statistics("m")
        assert counted.success.count == 2


async def test_an_older_version_stands_in_only_where_its_loss_is_declared() -> None:
    served = offer("m", 1, 2, 3, objective_s=0.1, parameters={"loss.2": "0.05"})
    async with engine_over(Measured(), served) as engine:
        found = choosing(engine)._candidates()
        assert [(one.batcher.version, one.loss) for one in found] == [("3", 0.0), ("2", 0.05)]
        choose(engine, "2", "fp32")
        assert (await ran(engine)).version == "2"
        # What was chosen has gone.
        await engine.update(snapshot(offer("m", 3, objective_s=0.1)))
        choose(engine, "2", "fp32")
        assert (await ran(engine)).version == "3"


async def test_a_canary_keeps_its_share_whatever_is_chosen() -> None:
    served = offer("m", 1, 2, variants=("int8",), objective_s=0.1, shares={"1": 0.6, "2": 0.4})
    async with engine_over(Measured(), served) as engine:
        cameras = [f"cam{number}" for number in range(30)]
        before = [(await ran(engine, camera=camera)).version for camera in cameras]
        assert set(before) == {"1", "2"}
        choose(engine, "1", "int8")
        after = [await ran(engine, camera=camera) for camera in cameras]
        assert [got.version for got in after] == before
        assert {(got.version, got.variant) for got in after} == {("1", "int8"), ("2", "fp32")}


async def test_the_choice_ends_with_the_objective_and_with_the_model() -> None:
    async with engine_over(Measured(), offer("m", 1, objective_s=0.1)) as engine:
        assert choosing(engine)._steering is not None
        await engine.update(snapshot(offer("m", 1)))
        assert choosing(engine)._steering is None
        await engine.update(snapshot(offer("m", 1, objective_s=0.2)))
        line = choosing(engine)
        assert line._steering is not None
        await engine.unload("m")
        assert line._steering is None
