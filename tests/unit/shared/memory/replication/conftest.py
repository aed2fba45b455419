"""Edges over one remote store, on a clock that moves when told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from support.replica import Edge, guard_versions
from support.replica_remote import FaultyRemote

from secondlook.shared.clock import ManualClock
from secondlook.shared.memory import SqliteStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def remote(clock: ManualClock) -> AsyncIterator[FaultyRemote]:
    store = await SqliteStore.open(":memory:", clock=clock)
    await guard_versions(store)
    yield FaultyRemote(store)
    await store.close()


MakeEdge = Callable[..., Awaitable[Edge]]


@pytest.fixture
async def edge_of(remote: FaultyRemote, clock: ManualClock) -> AsyncIterator[MakeEdge]:
    edges: list[Edge] = []

    async def make(name: str = "edge", **given: object) -> Edge:
        edge = Edge(name, **{"path": ":memory:", "remote": remote, "clock": clock, **given})
        edges.append(await edge.start())
        return edge

    yield make
    for edge in edges:
        await edge.store.close()
