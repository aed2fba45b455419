"""A write that is sent twice is written once (`Origin`), in every store."""

from __future__ import annotations

import itertools

import anyio
import pytest

from secondlook.shared.errors import InvalidInput, NotFound, VersionConflict
from secondlook.shared.memory import ContextStore, Origin, Outcome, Write
from secondlook.shared.memory.rules import MAX_REPLICAS

pytestmark = pytest.mark.anyio

FIRST = Origin("edge-1", "t1")


async def unchanged(store: ContextStore, cursor: int) -> bool:
    """Whether nothing was written after a cursor."""
    return not (await store.changes(since=cursor)).records


async def test_a_repeated_save_is_answered_with_what_stands(store: ContextStore) -> None:
    saved = await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST)
    assert await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST) == saved
    assert await unchanged(store, saved.change)


async def test_later_writes_do_not_hide_a_repetition(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST)
    await store.save("a", {"n": 2}, 1, writer="other")
    third = await store.save("a", {"n": 3}, 2, writer="x", origin=Origin("edge-2", "t1"))
    assert await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST) == third
    assert await unchanged(store, third.change)


async def test_a_repeated_deletion_is_answered_with_its_tombstone(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    tombstone = await store.delete("a", 1, writer="w", origin=FIRST)
    assert await store.delete("a", 1, writer="w", origin=FIRST) == tombstone
    assert await unchanged(store, tombstone.change)
    with pytest.raises(NotFound):
        await store.delete("a", 1, writer="w", origin=Origin("edge-1", "t2"))


async def test_a_tombstone_remembers_who_saved(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST)
    tombstone = await store.delete("a", 1, writer="other")
    assert await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST) == tombstone
    again = await store.save("a", {"n": 2}, 0, writer="w", origin=Origin("edge-1", "t2"))
    assert again.version == 3
    # Only the last write of a replica is remembered: it has one under way at most.
    with pytest.raises(VersionConflict):
        await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST)


async def test_a_save_that_came_back_remembers_the_deletion(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    await store.delete("a", 1, writer="w", origin=FIRST)
    back = await store.save("a", {"n": 2}, 0, writer="other")
    assert await store.delete("a", 1, writer="w", origin=FIRST) == back


@pytest.mark.parametrize(
    "other", [Origin("edge-1", "t2"), Origin("edge-2", "t1"), Origin("edge-1", "T1")]
)
async def test_another_token_or_replica_is_another_write(
    store: ContextStore, other: Origin
) -> None:
    saved = await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST)
    with pytest.raises(VersionConflict) as conflict:
        await store.save("a", {"n": 1}, 0, writer="w", origin=other)
    assert conflict.value.current == saved
    assert (await store.save("a", {"n": 2}, 1, writer="w", origin=other)).version == 2


async def test_an_origin_is_of_one_record(store: ContextStore) -> None:
    for record_id in ("a", "b"):
        assert (await store.save(record_id, {}, 0, writer="w", origin=FIRST)).id == record_id


async def test_a_write_that_failed_is_not_remembered(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    with pytest.raises(VersionConflict):
        await store.save("a", {"n": 2}, 0, writer="w", origin=FIRST)
    with pytest.raises(NotFound):
        await store.delete("b", 1, writer="w", origin=FIRST)
    assert (await store.save("a", {"n": 2}, 1, writer="w", origin=FIRST)).version == 2
    assert (await store.save("b", {"n": 2}, 0, writer="w", origin=FIRST)).version == 1


async def test_the_last_replicas_are_remembered_and_no_more(store: ContextStore) -> None:
    await store.save("a", {}, 0, writer="w", origin=FIRST)
    for version in range(1, MAX_REPLICAS):
        await store.save("a", {}, version, writer="w", origin=Origin(f"other-{version}", "t"))
    # 31 others have written since: the first of 32 is the oldest that is remembered.
    standing = await store.save("a", {}, 0, writer="w", origin=FIRST)
    assert standing.version == MAX_REPLICAS
    last = Origin("one-too-many", "t")
    newest = await store.save("a", {}, MAX_REPLICAS, writer="w", origin=last)
    with pytest.raises(VersionConflict):
        await store.save("a", {}, 0, writer="w", origin=FIRST)
    for replica in ("other-1", f"other-{MAX_REPLICAS - 1}", "one-too-many"):
        again = await store.save("a", {}, 0, writer="w", origin=Origin(replica, "t"))
        assert again == newest


async def test_who_writes_again_is_among_the_newest(store: ContextStore) -> None:
    await store.save("a", {}, 0, writer="w", origin=FIRST)
    for version in range(1, 10):
        await store.save("a", {}, version, writer="w", origin=Origin(f"early-{version}", "t"))
    mine = Origin("edge-1", "t2")
    await store.save("a", {}, 10, writer="w", origin=mine)
    for version in range(11, 11 + MAX_REPLICAS - 1):
        await store.save("a", {}, version, writer="w", origin=Origin(f"late-{version}", "t"))
    assert (await store.save("a", {}, 0, writer="w", origin=mine)).version == 10 + MAX_REPLICAS


async def test_writes_without_origin_make_nobody_forgotten(store: ContextStore) -> None:
    await store.save("a", {}, 0, writer="w", origin=FIRST)
    for version in range(1, 2 * MAX_REPLICAS):
        await store.save("a", {}, version, writer="w")
    again = await store.save("a", {}, 0, writer="w", origin=FIRST)
    assert again.version == 2 * MAX_REPLICAS


async def test_repetitions_at_once_write_once(store: ContextStore) -> None:
    answers: list[int] = []

    async def send() -> None:
        answers.append((await store.save("a", {"n": 1}, 0, writer="w", origin=FIRST)).version)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(send)
    assert answers == [1] * 10


async def test_an_outcome_says_whether_it_is_a_repetition(store: ContextStore) -> None:
    write = Write("a", {"n": 1}, 0, "w", origin=FIRST)
    (first,) = await store.apply([write])
    (again,) = await store.apply([write])
    assert (first.repeat, again.repeat) == (False, True)
    assert again.record == first.record
    removal = Write("a", None, 1, "w", origin=Origin("edge-1", "t2"))
    (removed,) = await store.apply([removal])
    assert await store.apply([removal]) == [Outcome(removed.record, repeat=True)]


@pytest.mark.parametrize("where", ["replica", "token"])
@pytest.mark.parametrize(
    "bad", ["", "x" * 65, "a b", "a/b", "é", "a\n", "a\x00", "\ud800", "{a}", "a,b", "٣"]
)
async def test_bad_origins_are_refused(store: ContextStore, where: str, bad: str) -> None:
    origin = Origin(**{"replica": "edge-1", "token": "t1", where: bad})
    with pytest.raises(InvalidInput, match="origin"):
        await store.save("a", {}, 0, writer="w", origin=origin)
    with pytest.raises(InvalidInput, match="origin"):
        await store.delete("a", 1, writer="w", origin=origin)
    (outcome,) = await store.apply([Write("a", {}, 0, "w", origin=origin)])
    assert isinstance(outcome.error, InvalidInput)
    assert (await store.changes()).records == ()


async def test_the_whole_alphabet_is_accepted(store: ContextStore) -> None:
    names = ("A-Z.a_z-0", "x" * 64, "-", "0", "constructor", "__index")
    for version, (replica, token) in enumerate(itertools.product(names, names)):
        await store.save("a", {}, version, writer="w", origin=Origin(replica, token))
    for replica in names:
        again = await store.save("a", {}, 0, writer="w", origin=Origin(replica, names[-1]))
        assert again.version == len(names) ** 2
