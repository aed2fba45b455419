"""A cursor that is too old: everything is listed again."""

from __future__ import annotations

from typing import Any

import pytest
from support.replica import standing
from support.replica_remote import Fault, FaultyRemote

from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import CursorTooOld, StoreError, Unavailable
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.record import Changes
from secondlook.shared.memory.replication import ReplicationSettings

pytestmark = pytest.mark.anyio

DAY_S = 86_400.0
FEW = ReplicationSettings(batch=4)


async def fill(store: SqliteStore, count: int) -> None:
    for n in range(count):
        await store.save(f"site/cam/note/{n}", {"n": n}, 0, writer="cloud")


async def forget(store: Any, clock: ManualClock, *numbers: int) -> None:
    """Delete, and forget the deletions."""
    for n in numbers:
        record = await store.load(f"site/cam/note/{n}")
        await store.delete(record.id, record.version, writer="cloud")
    clock.advance(8 * DAY_S)
    await store.compact(7 * DAY_S)


async def test_what_was_deleted_and_forgotten_is_deleted_here(
    edge_of: Any, remote: FaultyRemote, clock: ManualClock
) -> None:
    edge = await edge_of(settings=FEW)
    await fill(remote.store, 20)
    await edge.sync()
    await forget(remote.store, clock, 3, 4, 5, 6, 7, 8, 9)
    report = await edge.sync()
    assert report.resyncs == 1
    stands = await standing(edge.store)
    assert stands == await standing(remote.store)
    assert len(stands) == 13
    assert (await edge.sync()).resyncs == 0


async def test_what_was_changed_here_stays(
    edge_of: Any, remote: FaultyRemote, clock: ManualClock
) -> None:
    edge = await edge_of(settings=FEW)
    await fill(remote.store, 10)
    await edge.sync()
    await edge.change("site/cam/note/3", n=1)
    await edge.change("site/cam/note/new", n=1)
    await edge.store.delete("site/cam/note/4", 1, writer="edge")
    await forget(remote.store, clock, 3, 4, 5)
    assert (await edge.sync()).resyncs == 1
    stands = await standing(remote.store)
    assert stands == await standing(edge.store)
    assert stands["site/cam/note/3"] == {"n": 4}
    assert stands["site/cam/note/new"] == {"n": 1}
    assert "site/cam/note/4" not in stands
    assert "site/cam/note/5" not in stands


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
async def test_a_listing_that_is_interrupted_goes_on(
    edge_of: Any, remote: FaultyRemote, clock: ManualClock, calls: int, tmp_path: Any
) -> None:
    edge = await edge_of(settings=FEW, path=tmp_path / "edge.db")
    await fill(remote.store, 20)
    await edge.sync()
    await forget(remote.store, clock, 3, 4, 5, 6, 7)
    remote.faults = [Fault.NONE] * calls + [Fault.DROP]
    with pytest.raises(Unavailable):
        await edge.sync()
    await edge.restart()
    before = remote.calls
    await edge.sync()
    # 15 records in pages of 4, one more behind the sweep, and the one that was too old.
    assert remote.calls - before <= 7 - calls
    assert await standing(edge.store) == await standing(remote.store)


async def test_a_listing_that_lasts_too_long_begins_again(
    edge_of: Any, remote: FaultyRemote, clock: ManualClock
) -> None:
    edge = await edge_of(settings=FEW)
    await fill(remote.store, 20)
    remote.faults = [Fault.NONE, Fault.NONE, Fault.DROP]
    with pytest.raises(Unavailable):
        await edge.sync()
    # These were listed already; nobody could tell that they are gone.
    await forget(remote.store, clock, 0, 1)
    await edge.sync()
    assert await standing(edge.store) == await standing(remote.store)


async def test_a_store_whose_cursors_are_always_too_old_is_given_up(
    edge_of: Any, remote: FaultyRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await edge_of()

    async def changes(_: str = "", since: int = 0, __: int = 100) -> Changes:
        raise CursorTooOld(since, 5)

    monkeypatch.setattr(remote, "changes", changes)
    with pytest.raises(StoreError, match="cannot be listed"):
        await edge.sync()
