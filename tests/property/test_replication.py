"""Exactly-once effect: whatever the network does, each change counts once and all sides agree."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from support.replica import Edge, guard_versions, standing
from support.replica_remote import Fault, FaultyRemote

from secondlook.shared.errors import NotFound, VersionConflict
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.replication import ReplicationSettings

IDS = ("site/cam/note/a", "other/cam/note/b")
GONE = "site/cam/note/gone"

EDGES = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["count", "unite", "register"]), EDGES, st.sampled_from(IDS)),
    st.tuples(st.sampled_from(["sync", "sync", "busy", "restart"]), EDGES, st.sampled_from(IDS)),
    st.tuples(st.sampled_from(["touch", "delete"]), EDGES, st.just(GONE)),
)
FAULTS = st.lists(st.sampled_from([Fault.NONE] * 8 + list(Fault)), min_size=20, max_size=80)


class Run:
    """A history, and what must have come of it."""

    def __init__(self, edges: list[Edge], remote: FaultyRemote) -> None:
        self.edges = edges
        self.remote = remote
        self.numbers = itertools.count(1)
        self.counted: dict[str, int] = defaultdict(int)
        self.united: dict[str, set[str]] = defaultdict(set)
        self.newest: dict[str, int] = {}

    async def act(self, action: str, edge: Edge, record_id: str) -> None:
        number = next(self.numbers)
        if action == "count":
            await edge.change(record_id, n=number)
            self.counted[record_id] += number
        elif action == "unite":
            await edge.change(record_id, s=f"{edge.name}-{number}")
            self.united[record_id].add(f"{edge.name}-{number}")
        elif action == "register":
            await edge.change(record_id, r={"at": number, "by": edge.name})
            self.newest[record_id] = number
        elif action == "touch":
            await edge.change(record_id, n=1)
        elif action == "delete":
            try:
                record = await edge.store.load(record_id)
                await edge.store.delete(record_id, record.version, writer=edge.name)
            except (NotFound, VersionConflict):
                pass
        elif action == "sync":
            await edge.try_sync()
        elif action == "busy":

            async def meanwhile() -> None:
                await self.act("count", edge, record_id)

            self.remote.meanwhile = meanwhile
            await edge.try_sync()
            self.remote.meanwhile = None
        else:
            await edge.restart()

    async def settle(self) -> None:
        await self.remote.heal()
        for _ in range(2):
            for edge in self.edges:
                await edge.sync()

    async def check(self) -> None:
        stands = await standing(self.remote.store)
        for edge in self.edges:
            assert await standing(edge.store) == stands
            status = await edge.replicator.status()
            assert (status.counts.waiting, status.counts.undecided) == (0, 0)
        for record_id in IDS:
            document = stands.get(record_id, {})
            assert document.get("n", 0) == self.counted[record_id]
            assert set(document.get("s", ())) == self.united[record_id]
            assert document.get("r", {}).get("at") == self.newest.get(record_id)
        # Who asks once more finds nothing to do.
        before = len(self.remote.written)
        for edge in self.edges:
            report = await edge.sync()
            assert (report.pushed, report.taken, report.merged) == (0, 0, 0)
        assert len(self.remote.written) == before
        for _, written in itertools.groupby(
            sorted(self.remote.written, key=lambda record: (record.id, record.version)),
            key=lambda record: record.id,
        ):
            versions = [record.version for record in written]
            assert versions == list(range(1, len(versions) + 1))


async def play(
    folder: Path, history: list[tuple[str, int, str]], faults: list[Fault], batch: int
) -> Run:
    store = await SqliteStore.open(":memory:")
    await guard_versions(store)
    remote = FaultyRemote(store, faults)
    prefixes = ("site/", "other/")
    edges = [
        await Edge(
            f"e{n}",
            folder / f"{n}.db",
            remote,
            ReplicationSettings(batch=batch),
            prefixes=prefixes,
        ).start()
        for n in range(3)
    ]
    run = Run(edges, remote)
    try:
        for action, number, record_id in history:
            await run.act(action, edges[number], record_id)
        await run.settle()
        await run.check()
    finally:
        for edge in edges:
            await edge.store.close()
        await store.close()
    return run


@settings(max_examples=30)
@given(
    history=st.lists(ACTIONS, min_size=25, max_size=50),
    faults=FAULTS,
    batch=st.sampled_from([1, 2, 256]),
)
def test_no_network_makes_a_change_count_twice_or_never(
    history: list[tuple[str, int, str]], faults: list[Fault], batch: int
) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(play, Path(folder), history, faults, batch)
