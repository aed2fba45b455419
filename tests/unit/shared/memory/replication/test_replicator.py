"""One pass: what becomes of records, tombstones, times to live and conflicts."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

import anyio
import pytest
from support.replica import Edge, standing
from support.replica_remote import Fault, FaultyRemote

from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import (
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionDenied,
    StoreError,
    Unavailable,
)
from secondlook.shared.memory.record import Changes, Outcome
from secondlook.shared.memory.replication import ReplicationSettings

pytestmark = pytest.mark.anyio

A = "site/cam/note/a"
B = "site/cam/note/b"


async def pair(edge_of: Any) -> tuple[Edge, Edge]:
    return await edge_of("one"), await edge_of("two")


async def meet(*edges: Edge) -> None:
    for _ in range(2):
        for edge in edges:
            await edge.sync()


async def gone(edge: Edge, record_id: str) -> bool:
    try:
        await edge.store.load(record_id)
    except NotFound:
        return True
    return False


async def test_what_one_writes_another_reads(edge_of: Any) -> None:
    one, two = await pair(edge_of)
    await one.change(A, n=1)
    await meet(one, two)
    record = await two.store.load(A)
    assert (record.data, record.writer, record.version) == ({"n": 1}, "one", 1)


async def test_own_writes_that_come_back_are_no_change(edge_of: Any) -> None:
    edge = await edge_of()
    await edge.change(A, n=1)
    assert (await edge.sync()).pushed == 1
    report = await edge.sync()
    assert (report.pulled, report.taken, report.merged, report.pushed) == (1, 0, 0, 0)
    assert (await edge.store.load(A)).version == 1


async def test_both_sides_of_a_change_count(edge_of: Any) -> None:
    one, two = await pair(edge_of)
    await one.change(A, n=10)
    await meet(one, two)
    await one.change(A, n=3, s="x")
    await two.change(A, n=2, s="y")
    await meet(one, two)
    for edge in (one, two):
        assert (await edge.store.load(A)).data == {"n": 15, "s": ["x", "y"]}


async def test_a_deletion_reaches_the_other(edge_of: Any, remote: FaultyRemote) -> None:
    one, two = await pair(edge_of)
    await one.change(A, n=1)
    await meet(one, two)
    await two.store.delete(A, 1, writer="two")
    await meet(one, two)
    assert await gone(one, A)
    assert await standing(remote.store) == {}


async def test_a_change_beats_a_deletion(edge_of: Any) -> None:
    for deletes_first in (True, False):
        one, two = await pair(edge_of)
        await one.change(A, n=1)
        await meet(one, two)
        version = (await one.store.load(A)).version
        await one.store.delete(A, version, writer="one")
        await two.change(A, n=1)
        await meet(*((one, two) if deletes_first else (two, one)))
        for edge in (one, two):
            assert (await edge.store.load(A)).data["n"] >= 2


async def test_what_was_made_and_deleted_before_it_was_sent_is_not_sent(
    edge_of: Any, remote: FaultyRemote
) -> None:
    edge = await edge_of()
    await edge.change(A, n=1)
    await edge.store.delete(A, 1, writer="edge")
    report = await edge.sync()
    assert (report.pushed, report.waiting) == (0, 0)
    assert remote.written == []


async def test_what_is_deleted_on_both_sides_is_done(edge_of: Any) -> None:
    one, two = await pair(edge_of)
    await one.change(A, n=1)
    await meet(one, two)
    for edge in (one, two):
        await edge.store.delete(A, (await edge.store.load(A)).version, writer="x")
    await meet(one, two)
    assert (await two.replicator.status()).counts.waiting == 0


async def test_the_time_left_travels(
    edge_of: Any, remote: FaultyRemote, clock: ManualClock
) -> None:
    one, two = await pair(edge_of)
    await one.store.save(A, {"n": 1}, 0, writer="one", ttl_s=100)
    clock.advance(40)
    await meet(one, two)
    ends = (await one.store.load(A)).expires_at
    assert ends is not None
    for store in (remote.store, two.store):
        assert (await store.load(A)).expires_at == pytest.approx(ends)
    clock.advance(61)
    assert await gone(two, A)


async def test_what_expired_before_it_was_sent_counts_as_deleted(
    edge_of: Any, remote: FaultyRemote, clock: ManualClock
) -> None:
    edge = await edge_of()
    await edge.store.save(A, {"n": 1}, 0, writer="edge", ttl_s=100)
    await edge.store.save(B, {"n": 1}, 0, writer="edge")
    await edge.sync()
    await edge.store.save(B, {"n": 2}, 1, writer="edge", ttl_s=10)
    clock.advance(200)
    await edge.sync()
    assert await standing(remote.store) == {}
    assert (await edge.replicator.status()).counts.waiting == 0


async def test_what_is_made_anew_after_its_end_does_not_build_upon_it(
    edge_of: Any, clock: ManualClock
) -> None:
    one, two = await pair(edge_of)
    await one.store.save(A, {"n": 10}, 0, writer="one", ttl_s=50)
    await meet(one, two)
    clock.advance(60)
    await one.change(A, n=1)
    await two.change(A, n=2)
    await meet(one, two)
    assert (await one.store.load(A)).data == (await two.store.load(A)).data == {"n": 3}


async def test_what_nobody_decides_is_parked_with_both_sides(edge_of: Any) -> None:
    one, two = await pair(edge_of)
    await one.change(A, note="base")
    await meet(one, two)
    await one.change(A, note="ours")
    await two.change(A, note="theirs", n=1)
    await meet(two)
    report = await one.sync()
    assert (report.parked, report.waiting, report.pushed) == (1, 1, 0)
    (parked,) = await one.replica.parked()
    assert parked.undecided
    assert "note" in parked.reason
    assert (parked.base, parked.ours, parked.theirs) == (
        {"note": "base"},
        {"note": "ours"},
        {"note": "theirs", "n": 1},
    )
    status = await one.replicator.status()
    assert (status.counts.undecided, status.counts.waiting) == (1, 1)
    # It stops nothing else, and is not tried again for nothing.
    await one.change(B, n=1)
    report = await one.sync()
    assert (report.parked, report.pushed) == (0, 1)


@pytest.mark.parametrize("side", ["here", "there", "decided"])
async def test_what_is_parked_goes_on_when_either_side_changes(edge_of: Any, side: str) -> None:
    one, two = await pair(edge_of)
    await one.change(A, note="base")
    await meet(one, two)
    await one.change(A, note="ours", n=1)
    await two.change(A, note="theirs", n=1)
    await meet(two, one)
    if side == "here":
        await one.change(A, note="theirs")
    elif side == "there":
        await two.change(A, note="ours")
    else:
        await one.replica.decide(A, {"note": "mine", "n": 2}, writer="me")
    await meet(two, one)
    await meet(two)
    expected = {"here": "theirs", "there": "ours", "decided": "mine"}[side]
    for edge in (one, two):
        assert (await edge.store.load(A)).data == {"note": expected, "n": 2}
    assert await one.replica.parked() == []
    with pytest.raises(NotFound):
        await one.replica.decide(A, {}, writer="me")


async def test_a_parked_record_survives_the_other_side_being_deleted(edge_of: Any) -> None:
    one, two = await pair(edge_of)
    await one.change(A, note="base")
    await meet(one, two)
    await one.change(A, note="ours")
    await two.change(A, note="theirs")
    await meet(two, one)
    await two.store.delete(A, (await two.store.load(A)).version, writer="two")
    await meet(two, one)
    await meet(two)
    assert (await two.store.load(A)).data == {"note": "ours"}


@pytest.mark.parametrize("error", [InvalidInput("too odd"), PermissionDenied("not yours")])
async def test_what_is_refused_is_parked_with_the_reason(
    edge_of: Any, remote: FaultyRemote, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await edge_of()
    serve = remote.store.apply

    async def apply(writes: Any) -> list[Outcome]:
        served = await serve([write for write in writes if write.id != A])
        return [Outcome(error=error) if write.id == A else served.pop(0) for write in writes]

    monkeypatch.setattr(remote.store, "apply", apply)
    await edge.change(A, n=1)
    await edge.change(B, n=1)
    report = await edge.sync()
    assert (report.parked, report.pushed) == (1, 1)
    (parked,) = await edge.replica.parked()
    assert (parked.undecided, parked.reason, parked.ours) == (False, str(error), {"n": 1})
    assert (await edge.replicator.status()).counts.refused == 1
    assert (await edge.sync()).parked == 0
    # What is allowed later is tried again, without anybody changing it.
    monkeypatch.undo()
    await edge.replica.retry_refused()
    assert (await edge.sync()).pushed == 1
    assert await edge.replica.parked() == []


async def test_a_batch_that_is_refused_as_a_whole_is_divided(
    edge_of: Any, remote: FaultyRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await edge_of()
    serve = remote.store.apply

    async def apply(writes: Any) -> list[Outcome]:
        if any(write.id == A for write in writes):
            raise InvalidInput("the message is too large")
        return await serve(writes)

    monkeypatch.setattr(remote.store, "apply", apply)
    for n in range(9):
        await edge.change(f"site/cam/note/{n}", n=1)
    await edge.change(A, n=1)
    report = await edge.sync()
    assert (report.pushed, report.parked) == (9, 1)


async def test_a_prefix_that_may_not_be_read_hinders_no_other(
    edge_of: Any, remote: FaultyRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await edge_of(prefixes=("other/", "site/"))
    serve = remote.changes

    async def changes(prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        if prefix == "other/":
            raise PermissionDenied("not yours")
        return await serve(prefix, since, limit)

    monkeypatch.setattr(remote, "changes", changes)
    await remote.store.save(A, {"n": 1}, 0, writer="cloud")
    report = await edge.sync()
    assert report.refused == {"other/": "not yours"}
    assert (await edge.store.load(A)).data == {"n": 1}
    status = await edge.replicator.status()
    assert (status.error, status.cursor_age_s) == ("not yours", None)


async def test_only_what_is_under_a_prefix_is_shared(edge_of: Any, remote: FaultyRemote) -> None:
    edge = await edge_of(prefixes=("site/",))
    await edge.change("site2/cam/note/a", n=1)
    await edge.change(A, n=1)
    await remote.store.save("elsewhere/cam/note/a", {"n": 1}, 0, writer="cloud")
    report = await edge.sync()
    assert (report.pushed, report.waiting, report.taken) == (1, 0, 0)
    assert set(await standing(remote.store)) == {A, "elsewhere/cam/note/a"}


@pytest.mark.parametrize("lost", [Fault.LOSE, Fault.HALF, Fault.DROP, Fault.HOLD])
async def test_a_lost_answer_is_settled_by_asking_again(
    edge_of: Any, remote: FaultyRemote, lost: Fault, tmp_path: Any
) -> None:
    edge = await edge_of(path=tmp_path / "edge.db")
    for n in range(6):
        await edge.change(f"site/cam/note/{n}", n=1)
    remote.faults = [Fault.NONE, Fault.NONE, lost]
    with pytest.raises((StoreError, Unavailable)):
        await edge.sync()
    status = await edge.replicator.status()
    assert status.counts.waiting == 6
    assert status.error
    await edge.restart()
    # Changed here, and there, before it is known what became of the first attempt.
    await edge.change("site/cam/note/0", n=1)
    await edge.sync()
    await remote.heal()
    await edge.sync()
    stands = await standing(remote.store)
    assert stands == await standing(edge.store)
    assert sorted(document["n"] for document in stands.values()) == [1, 1, 1, 1, 1, 2]


async def test_no_batch_is_larger_than_allowed(edge_of: Any, remote: FaultyRemote) -> None:
    sizes: list[int] = []
    serve = remote.apply

    async def apply(writes: Any) -> list[Outcome]:
        sizes.append(sum(len(str(write.data)) for write in writes))
        return await serve(writes)

    remote.apply = apply  # type: ignore[method-assign]
    edge = await edge_of(settings=ReplicationSettings(batch_bytes=128 * 1024))
    for n in range(12):
        await edge.change(f"site/cam/note/{n}", text="x" * 30_000)
    await edge.sync()
    assert sum(sizes) >= 12 * 30_000
    assert max(sizes) <= 128 * 1024


async def test_local_writes_during_a_pass_are_sent_by_it(
    edge_of: Any, remote: FaultyRemote
) -> None:
    edge = await edge_of()
    await edge.change(A, n=1)

    async def meanwhile() -> None:
        await edge.change(A, n=1)
        await edge.change(B, n=1)

    remote.meanwhile = meanwhile
    assert (await edge.sync()).waiting == 0
    assert await standing(remote.store) == {A: {"n": 2}, B: {"n": 1}}


async def test_writers_that_never_rest_do_not_keep_a_pass_from_ending(
    edge_of: Any, remote: FaultyRemote
) -> None:
    edge = await edge_of(settings=ReplicationSettings(batch=1))

    async def meanwhile() -> None:
        remote.meanwhile = meanwhile
        await edge.change(A, n=1)

    remote.meanwhile = meanwhile
    await edge.change(A, n=1)
    assert (await edge.sync()).more


async def test_a_damaged_row_here_is_parked_and_stops_nothing(
    edge_of: Any, remote: FaultyRemote
) -> None:
    edge = await edge_of()
    await edge.change(A, n=1)
    await edge.change(B, n=1)

    def damage(db: sqlite3.Connection) -> None:
        db.execute("UPDATE records SET data = x'ff' WHERE id = ?", (A,))

    await edge.store.transact(damage)
    await remote.store.save(A, {"n": 5}, 0, writer="cloud")
    report = await edge.sync()
    assert report.parked >= 1
    assert (await remote.store.load(B)).data == {"n": 1}
    assert (await edge.replicator.status()).counts.refused == 1


async def test_a_full_local_store_sends_before_it_takes(edge_of: Any, remote: FaultyRemote) -> None:
    edge = await edge_of(max_bytes=8_000)
    written = 0
    with suppress(Overloaded):
        while True:
            await edge.change(f"site/cam/note/{written}", text="x" * 500)
            written += 1
    # United with this, a record that waits becomes heavier; before the others are sent there is no
    # room for it.
    await remote.store.save("site/cam/note/3", {"more": "y" * 1500}, 0, writer="cloud")
    await edge.sync()
    assert (await edge.replicator.status()).counts.waiting == 0
    stands = await standing(remote.store)
    assert len(stands) == written
    assert stands["site/cam/note/3"] == {"text": "x" * 500, "more": "y" * 1500}


async def test_an_evicted_record_is_made_anew_and_nothing_is_taken_away(
    edge_of: Any, remote: FaultyRemote
) -> None:
    edge = await edge_of(max_bytes=8_000)
    await edge.change(A, n=10)
    await edge.sync()
    for n in range(20):
        await edge.change(f"site/cam/note/{n}", text="x" * 500)
        await edge.sync()
    assert await gone(edge, A)
    await edge.change(A, n=1)
    await edge.sync()
    assert (await remote.store.load(A)).data == {"n": 11}


async def test_nonsense_from_the_remote_store_raises_and_changes_nothing(
    edge_of: Any, remote: FaultyRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = await edge_of()
    await edge.change(A, n=1)
    for outcomes in ([], [Outcome()], [Outcome(), Outcome()]):
        answer = outcomes

        async def apply(_: Any, answer: list[Outcome] = answer) -> list[Outcome]:
            return answer

        monkeypatch.setattr(remote, "apply", apply)
        with pytest.raises(StoreError):
            await edge.sync()
    monkeypatch.undo()
    assert (await edge.sync()).pushed == 1

    async def changes(*_: Any) -> Changes:
        return Changes((), 7, more=True)

    monkeypatch.setattr(remote, "changes", changes)
    with pytest.raises(StoreError, match="do not go on"):
        await edge.sync()


async def until(edge: Edge, number: int) -> None:
    while await gone(edge, A) or (await edge.store.load(A)).data["n"] != number:  # noqa: ASYNC110 - no event tells
        await anyio.sleep(0.005)


async def test_it_runs_until_it_is_cancelled(edge_of: Any, remote: FaultyRemote) -> None:
    settings = ReplicationSettings(
        poll_s=0.02, gather_s=0.0, backoff_initial_s=0.01, backoff_max_s=0.02
    )
    one = await edge_of("one", settings=settings)
    two = await edge_of("two", settings=settings)
    remote.faults = [Fault.DROP] * 5
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for edge in (one, two):
                tasks.start_soon(edge.replicator.run)
            for number in range(3):
                await one.change(A, n=1)
                one.replicator.wake()
                await until(two, number + 1)
            tasks.cancel_scope.cancel()
    assert (await two.replicator.status()).last_success is not None
