"""Processes are kept running, drained and killed; here they are no real ones."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import settings
from support.waiting import eventually

from secondlook.cloud.processes import supervisor as module
from secondlook.cloud.processes.link import Failed, Report, Serving
from secondlook.cloud.processes.metrics import ProcessMetrics
from secondlook.cloud.processes.supervisor import Supervisor, ended
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.errors import InvalidModel, Unavailable

pytestmark = pytest.mark.anyio


class FakeChild:
    """Does what it is told; ends when drained or killed."""

    def __init__(self, number: int, report: Report | None, *, stubborn: bool = False) -> None:
        self.number = number
        self.pid = 100 + number
        self.drained = self.killed = False
        self._report = report
        self._stubborn = stubborn
        self._code = 0
        self._ended = anyio.Event()
        if report is None or isinstance(report, Failed):
            self.end(1)

    async def report(self) -> Report | None:
        return self._report

    async def wait(self) -> int:
        await self._ended.wait()
        return self._code

    def drain(self) -> None:
        self.drained = True
        if not self._stubborn:
            self.end(0)

    def kill(self) -> None:
        self.killed = True
        self.end(-9)

    def end(self, code: int) -> None:
        if not self._ended.is_set():
            self._code = code
            self._ended.set()


class Bench:
    """A supervisor over children that are made as ``reports`` says, then as they should be."""

    def __init__(self, *reports: Report | None, stubborn: bool = False, **server: Any) -> None:
        self.children: list[FakeChild] = []
        self._reports = list(reports)
        self._stubborn = stubborn
        self.registry = CollectorRegistry()
        shared = settings(
            server={"port": 7, "processes": 2, **server}, memory={"url": "sqlite:///unused.db"}
        )
        self.supervisor = Supervisor(
            shared,
            ProcessMetrics(self.registry, 2),
            start=self._start,  # type: ignore[arg-type]
        )

    @asynccontextmanager
    async def _start(self, number: int, _: CloudSettings) -> AsyncIterator[FakeChild]:
        report = self._reports.pop(0) if self._reports else Serving(1000 + number)
        child = FakeChild(number, report, stubborn=self._stubborn)
        self.children.append(child)
        try:
            yield child
        finally:
            child.kill()

    def counted(self, what: str, number: int) -> float | None:
        return self.registry.get_sample_value(
            f"secondlook_cloud_process_{what}", {"process": str(number)}
        )


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Supervisor]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.supervisor.run)
        await bench.supervisor.complete()
        yield bench.supervisor
        bench.supervisor.stop.set()


async def test_all_serve_until_they_are_drained() -> None:
    bench = Bench()
    async with running(bench) as supervisor:
        assert supervisor.serving
        assert supervisor.pids == [100, 101]
        assert supervisor.metrics_ports() == {0: 1000, 1: 1001}
        assert bench.counted("ready", 1) == 1
    assert all(child.drained for child in bench.children)
    assert len(bench.children) == 2
    assert not bench.supervisor.serving
    assert bench.counted("ready", 1) == 0


async def test_one_that_dies_is_started_again_while_the_other_serves() -> None:
    bench = Bench()
    async with running(bench) as supervisor:
        bench.children[1].end(-9)
        await eventually(lambda: len(bench.children) == 3 and len(supervisor.pids) == 2)
        assert supervisor.serving
        assert bench.children[2].number == 1
        assert bench.counted("restarts_total", 1) == 1
        assert bench.counted("restarts_total", 0) == 0


async def test_what_fails_later_is_tried_again() -> None:
    bench = Bench(Serving(1), Serving(2), Failed(InvalidModel("gone")), None)
    async with running(bench) as supervisor:
        bench.children[0].end(1)
        await eventually(lambda: len(bench.children) == 5 and len(supervisor.pids) == 2)
        assert bench.counted("restarts_total", 0) == 3


async def test_pauses_double_up_to_a_bound_and_start_anew_after_a_long_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.004)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    waited: list[float] = []
    real = anyio.move_on_after

    def move_on_after(delay: float) -> Any:
        waited.append(delay)
        return real(delay)

    monkeypatch.setattr(module.anyio, "move_on_after", move_on_after)
    gone = Failed(InvalidModel("gone"))
    bench = Bench(Serving(1), Serving(2), gone, gone, gone)
    async with running(bench) as supervisor:
        bench.children[0].end(1)
        await eventually(lambda: len(bench.children) == 6 and len(supervisor.pids) == 2)
        assert waited == [0.001, 0.002, 0.004, 0.004]
        monkeypatch.setattr(module, "YOUNG_S", -1.0)
        bench.children[-1].end(1)
        await eventually(lambda: len(bench.children) == 7)
        assert waited[-1] == 0.001


async def test_what_cannot_serve_at_the_start_ends_all_with_its_error() -> None:
    bench = Bench(Serving(1), Failed(InvalidModel("no head")))
    with pytest.raises(InvalidModel, match="no head"):
        await bench.supervisor.run()
    assert bench.children[0].drained
    assert len(bench.children) == 2


async def test_one_that_dies_at_the_start_without_a_word_ends_all() -> None:
    bench = Bench(None, None)
    with pytest.raises(Unavailable, match="process 0 ended with code 1 before it served"):
        await bench.supervisor.run()
    assert len(bench.children) == 2


async def test_one_that_does_not_drain_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    bench = Bench(stubborn=True, drain_timeout_s=0.0)
    async with running(bench):
        pass
    assert all(child.drained and child.killed for child in bench.children)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "ended with code 0"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-250, "was killed by signal 250"),
    ],
)
async def test_how_it_ended_is_told_in_words(code: int, text: str) -> None:
    assert ended(code) == text
