"""The context memory over a network that cuts, stalls and corrupts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio
import pytest
from support.cloud import fake_cloud
from support.proxy import FaultProxy, fault_proxy

from secondlook.cloud.service import RunningCloud
from secondlook.shared.errors import (
    DeadlineExceeded,
    SecondlookError,
    StoreError,
    Unavailable,
    VersionConflict,
)
from secondlook.shared.measure import Direction
from secondlook.shared.memory import Origin, Outcome, Write
from secondlook.shared.memory.remote import RemoteStore

pytestmark = pytest.mark.anyio

T = TypeVar("T")

TRIED = (StoreError, Unavailable, DeadlineExceeded)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondlook.shared.memory.remote._BACKOFF_S", 0.01)


@asynccontextmanager
async def behind_proxy(
    timeout_s: float = 10.0,
) -> AsyncIterator[tuple[RunningCloud, FaultProxy, RemoteStore]]:
    async with fake_cloud() as (cloud, _), fault_proxy(cloud.port) as proxy:
        store = await RemoteStore.open(f"grpc://{proxy.target}", timeout_s=timeout_s)
        try:
            yield cloud, proxy, store
        finally:
            await store.close()


async def until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again until an answer comes through."""
    with anyio.fail_after(30):
        while True:
            try:
                return await ask()
            except TRIED:  # noqa: PERF203 - that is what the loop is for
                # A caller in earnest waits before it tries again, too.
                await anyio.sleep(0.01)


async def test_a_write_whose_answer_was_lost_is_written_once() -> None:
    async with behind_proxy(timeout_s=1.0) as (cloud, proxy, store):
        await store.ping()
        for n in range(20):
            write = Write("a", {"n": n}, n, "edge", origin=Origin("edge", f"t{n}"))
            proxy.cut_after(Direction.DOWN if n % 2 else Direction.UP, 1 + 7 * n)
            (outcome,) = await until_answered(partial(store.apply, [write]))
            assert outcome.record is not None
            assert (outcome.record.version, outcome.record.data) == (n + 1, {"n": n})
        assert (await cloud.store.load("a")).version == 20


async def test_without_an_origin_the_caller_is_told_that_it_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with behind_proxy() as (cloud, proxy, store):
        await store.save("a", {"n": 0}, 0, writer="edge")
        apply = cloud.store.apply

        async def written_then_cut(writes: Sequence[Write]) -> list[Outcome]:
            outcomes = await apply(writes)
            await proxy.cut()
            return outcomes

        with monkeypatch.context() as patched:
            patched.setattr(cloud.store, "apply", written_then_cut)
            with pytest.raises(StoreError, match="unknown"):
                await store.save("a", {"n": 1}, 1, writer="edge")
        # Here it did happen; sent again, it is a conflict that shows so.
        assert (await cloud.store.load("a")).version == 2
        with pytest.raises(VersionConflict) as conflict:
            await until_answered(partial(store.save, "a", {"n": 1}, 1, writer="edge"))
        assert (conflict.value.actual, conflict.value.current.data) == (2, {"n": 1})


async def test_a_stalled_network_ends_calls_in_time() -> None:
    async with behind_proxy(timeout_s=0.2) as (_, proxy, store):
        await store.ping()
        proxy.stall()
        with pytest.raises(DeadlineExceeded):
            await store.load("a")
        with pytest.raises(StoreError, match="unknown"):
            await store.save("a", {}, 0, writer="w")
        proxy.resume()


@pytest.mark.parametrize("direction", Direction)
async def test_corrupt_bytes_are_an_error_and_no_data(direction: Direction) -> None:
    async with behind_proxy(timeout_s=2.0) as (cloud, proxy, store):
        saved = await store.save("a", {"n": 1}, 0, writer="edge")
        proxy.corrupt_next(direction)
        with pytest.raises(SecondlookError):
            await store.load("a")
        assert await until_answered(partial(store.load, "a")) == saved
        assert (await cloud.store.load("a")).version == 1


async def test_a_watch_misses_nothing_across_cuts() -> None:
    count = 60
    async with behind_proxy() as (cloud, proxy, store):
        seen: dict[str, int] = {}
        changes: list[int] = []
        done = anyio.Event()

        async def listen() -> None:
            watch = store.watch("site/cam/")
            async for record in watch:
                seen[record.id] = record.version
                changes.append(record.change)
                if len(seen) == count:
                    done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            for n in range(count):
                await cloud.store.save(f"site/cam/x/{n}", {"n": n}, 0, writer="w")
                await cloud.store.save(f"site/other/x/{n}", {}, 0, writer="w")
                if n % 10 == 5:
                    await proxy.cut()
                if n % 20 == 3:
                    proxy.refuse()
                if n % 20 == 9:
                    proxy.accept()
            proxy.accept()
            with anyio.fail_after(30):
                await done.wait()
            tasks.cancel_scope.cancel()
        assert seen == {f"site/cam/x/{n}": 1 for n in range(count)}
        # In order, and none twice.
        assert changes == sorted(set(changes))


async def test_a_batch_cut_in_the_middle_is_finished_by_sending_it_again() -> None:
    async with behind_proxy(timeout_s=2.0) as (cloud, proxy, store):
        await store.ping()
        writes = [
            Write(f"r/{n}", {"n": n, "pad": "x" * 20_000}, 0, "edge", origin=Origin("edge", "t"))
            for n in range(100)
        ]
        proxy.cut_after(Direction.DOWN, 2_000)
        outcomes = await until_answered(partial(store.apply, writes))
        assert [outcome.record and outcome.record.version for outcome in outcomes] == [1] * 100
        assert any(outcome.repeat for outcome in outcomes)
        page = await cloud.store.changes(limit=1000)
        assert [record.version for record in page.records] == [1] * len(page.records)
