from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import (
    InvalidInput,
    MergeConflict,
    NotFound,
    StoreError,
    Unavailable,
    VersionConflict,
)
from secondlook.shared.memory import Origin, Record, SqliteStore, edit
from secondlook.shared.memory.kinds import GateState, context_id
from secondlook.shared.memory.merging import Appended, Counter, Fields, UnionSet
from secondlook.shared.memory.protocol import ContextStore

pytestmark = pytest.mark.anyio

COUNTERS = Fields(default=Counter())

Meddle = Callable[[ContextStore], Awaitable[Any]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[ContextStore]:
    opened = await SqliteStore.open(":memory:", clock=clock)
    yield opened
    await opened.close()


class Meddled:
    """A store where somebody else is first: each of our saves waits for the next meddler."""

    def __init__(self, store: ContextStore, *meddlers: Meddle) -> None:
        self._store = store
        self._meddlers = list(meddlers)
        self.loads = 0
        self.saves = 0

    async def load(self, record_id: str) -> Record:
        self.loads += 1
        return await self._store.load(record_id)

    async def save(self, record_id: str, data: Any, expected: int, **fields: Any) -> Record:
        self.saves += 1
        if self._meddlers:
            await self._meddlers.pop(0)(self._store)
        return await self._store.save(record_id, data, expected, **fields)


class Unlucky:
    """A store that fails, before or after it has saved, as often as told."""

    def __init__(self, store: ContextStore, error: Exception, *, after: bool, times: int) -> None:
        self._store = store
        self._error = error
        self._after = after
        self._times = times
        self.saves = 0

    async def load(self, record_id: str) -> Record:
        return await self._store.load(record_id)

    async def save(self, record_id: str, data: Any, expected: int, **fields: Any) -> Record:
        self.saves += 1
        fails = self.saves <= self._times
        if fails and not self._after:
            raise self._error
        record = await self._store.save(record_id, data, expected, **fields)
        if fails:
            raise self._error
        return record


def put(**changes: Any) -> Meddle:
    """Somebody who sets fields of record ``a`` and keeps its time to live."""

    async def meddle(store: ContextStore) -> None:
        await edit(store, "a", lambda found: {**found, **changes}, writer="other")

    return meddle


async def remove(store: ContextStore) -> None:
    await store.delete("a", (await store.load("a")).version, writer="other")


def mine(data: dict[str, Any]) -> dict[str, Any]:
    data["mine"] = data.get("mine", 0) + 1
    return data


def more(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "n": data.get("n", 0) + 1}


async def test_a_new_record_begins_with_nothing(store: ContextStore) -> None:
    record = await edit(store, "a", mine, writer="w")
    assert (record.data, record.version, record.writer) == ({"mine": 1}, 1, "w")


async def test_a_tombstone_is_edited_like_nothing(store: ContextStore) -> None:
    await edit(store, "a", mine, writer="w")
    await store.delete("a", 1, writer="w")
    record = await edit(store, "a", mine, writer="w")
    assert (record.data, record.version) == ({"mine": 1}, 3)


# Conflicts are merged


async def test_a_conflict_is_merged_with_what_stands(store: ContextStore) -> None:
    await store.save("a", {"mine": 4, "gone": 1}, 0, writer="w")
    calls = []

    def change(data: dict[str, Any]) -> dict[str, Any]:
        calls.append(dict(data))
        return {"mine": 5}

    meddled = Meddled(store, put(other=1), put(other=2, more="x"), put(other=3))
    record = await edit(meddled, "a", change, writer="w")
    assert (record.data, record.version) == ({"mine": 5, "other": 3, "more": "x"}, 5)
    # The change is made once, and the conflict brings what stands: nothing is loaded again.
    assert calls == [{"mine": 4, "gone": 1}]
    assert (meddled.loads, meddled.saves) == (1, 4)


async def test_counts_made_meanwhile_are_counted_once_each(store: ContextStore) -> None:
    """The ancestor moves on with each conflict, else the second one would count the first twice."""
    await store.save("a", {"n": 10}, 0, writer="w")
    meddled = Meddled(store, put(n=11), put(n=13), put(n=17))
    assert (await edit(meddled, "a", more, writer="w", rule=COUNTERS)).data == {"n": 18}


async def test_what_was_added_and_removed_again_meanwhile_is_not_brought_back(
    store: ContextStore,
) -> None:
    await store.save("a", {"tags": ["x"]}, 0, writer="w")
    meddled = Meddled(store, put(tags=["x", "y"]), put(tags=["x"]))
    record = await edit(
        meddled,
        "a",
        lambda data: {"tags": [*data["tags"], "z"]},
        writer="w",
        rule=Fields({"tags": UnionSet()}),
    )
    assert record.data == {"tags": ["x", "z"]}


async def test_both_begin_a_record(store: ContextStore) -> None:
    record = await edit(Meddled(store, put(other=1)), "a", mine, writer="w")
    assert (record.data, record.version) == ({"mine": 1, "other": 1}, 2)


async def test_without_a_rule_that_of_the_kind_holds(store: ContextStore) -> None:
    record_id = context_id("north/gate-1", GateState, "now")

    async def meddle(store: ContextStore) -> None:
        await edit(store, record_id, lambda _: GateState(asked=3).document(), writer="other")

    ours = GateState(asked=2, background_at_s=5.0).document()
    record = await edit(Meddled(store, meddle), record_id, lambda _: ours, writer="w")
    assert GateState.of(record.data) == GateState(asked=5, background_at_s=5.0)


async def test_what_no_rule_decides_is_raised_and_nothing_written(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    with pytest.raises(MergeConflict) as raised:
        await edit(Meddled(store, put(n=5)), "a", more, writer="w")
    error = raised.value
    assert (error.record_id, error.path) == ("a", "n")
    assert (error.base, error.ours, error.theirs) == (1, 2, 5)
    assert (await store.load("a")).data == {"n": 5}


async def test_after_the_last_attempt_the_conflict_is_raised(store: ContextStore) -> None:
    meddled = Meddled(store, *(put(other=n) for n in range(1, 9)))
    with pytest.raises(VersionConflict) as conflict:
        await edit(meddled, "a", mine, writer="w", attempts=3)
    assert conflict.value.current.data == {"other": 3}
    assert meddled.saves == 3
    assert (await store.load("a")).data == {"other": 3}


async def test_a_record_deleted_meanwhile_comes_back_with_our_change(store: ContextStore) -> None:
    await store.save("a", {"n": 1, "kept": True}, 0, writer="w")
    record = await edit(Meddled(store, remove), "a", more, writer="w")
    assert (record.data, record.version) == ({"n": 2, "kept": True}, 3)


async def test_a_record_deleted_and_begun_anew_meanwhile_has_no_ancestor(
    store: ContextStore,
) -> None:
    await store.save("a", {"n": 5}, 0, writer="w")
    meddled = Meddled(store, remove, put(n=1))
    record = await edit(meddled, "a", more, writer="w", rule=COUNTERS)
    assert (record.data, record.version) == ({"n": 7}, 4)


async def test_a_change_in_place_does_not_reach_the_ancestor(store: ContextStore) -> None:
    await store.save("a", {"log": [{"at_s": 1}]}, 0, writer="w")

    def append(data: dict[str, Any]) -> dict[str, Any]:
        data["log"].append({"at_s": 3})
        return data

    meddled = Meddled(store, put(log=[{"at_s": 1}, {"at_s": 2}]))
    record = await edit(meddled, "a", append, writer="w", rule=Fields({"log": Appended(9)}))
    assert record.data == {"log": [{"at_s": 1}, {"at_s": 2}, {"at_s": 3}]}


# Time to live


async def test_a_given_time_to_live_holds(store: ContextStore, clock: ManualClock) -> None:
    await edit(store, "a", mine, writer="w", ttl_s=60, clock=clock)
    clock.advance(50)
    record = await edit(Meddled(store, put(x=1)), "a", mine, writer="w", ttl_s=60, clock=clock)
    assert record.expires_at == clock.wall() + 60


async def test_without_one_the_record_keeps_the_time_it_has_left(
    store: ContextStore, clock: ManualClock
) -> None:
    assert (await edit(store, "b", mine, writer="w", clock=clock)).expires_at is None
    first = await edit(store, "a", mine, writer="w", ttl_s=60, clock=clock)
    clock.advance(50)
    record = await edit(store, "a", mine, writer="w", clock=clock)
    assert record.expires_at == pytest.approx(first.expires_at)


async def test_after_a_conflict_the_time_is_that_of_what_stands(
    store: ContextStore, clock: ManualClock
) -> None:
    await store.save("a", {}, 0, writer="w", ttl_s=60)

    async def prolong(store: ContextStore) -> None:
        await store.save("a", {}, 1, writer="other", ttl_s=600)

    record = await edit(Meddled(store, prolong), "a", mine, writer="w", clock=clock)
    assert record.expires_at == clock.wall() + 600


@pytest.mark.parametrize("passed_s", [60, 3600])
async def test_a_record_that_expires_meanwhile_does_not_live_for_ever(
    store: ContextStore, clock: ManualClock, passed_s: float
) -> None:
    await store.save("a", {"kept": 1}, 0, writer="w", ttl_s=60)

    async def late(store: ContextStore) -> None:
        clock.advance(passed_s)

    record = await edit(Meddled(store, late), "a", mine, writer="w", clock=clock)
    assert record.data == {"kept": 1, "mine": 1}
    assert record.expires_at == clock.wall() + 60


async def test_the_last_moment_of_a_record_is_not_for_ever(
    store: ContextStore, clock: ManualClock
) -> None:
    await store.save("a", {}, 0, writer="w", ttl_s=60)
    clock.advance(60 - 1e-5)
    record = await edit(store, "a", mine, writer="w", clock=clock)
    # The wire counts whole milliseconds, and 0 of them is for ever.
    assert record.expires_at == pytest.approx(clock.wall() + 0.001, abs=1e-6)


# A store that fails


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [StoreError("lost"), Unavailable("lost")])
async def test_without_origin_nothing_is_sent_twice(
    store: ContextStore, error: Exception, after: bool
) -> None:
    unlucky = Unlucky(store, error, after=after, times=1)
    with pytest.raises(type(error)):
        await edit(unlucky, "a", more, writer="w")
    assert unlucky.saves == 1
    if after:
        assert (await store.load("a")).data == {"n": 1}
    else:
        with pytest.raises(NotFound):
            await store.load("a")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [StoreError("lost"), Unavailable("lost")])
async def test_with_origin_a_lost_reply_is_asked_for_again_and_counts_once(
    store: ContextStore, error: Exception, after: bool
) -> None:
    unlucky = Unlucky(store, error, after=after, times=2)
    record = await edit(unlucky, "a", more, writer="w", origin=Origin("edge-1", "t1"))
    assert (record.data, record.version) == ({"n": 1}, 1)
    assert unlucky.saves == 3


async def test_with_origin_a_lost_reply_is_not_merged_with_its_own_change(
    store: ContextStore,
) -> None:
    """Another writer came between our save, whose reply was lost, and its repetition."""
    meddlers: list[Meddle] = [lambda _: store.ping(), put(other=1)]
    unlucky = Unlucky(Meddled(store, *meddlers), StoreError("lost"), after=True, times=1)
    record = await edit(unlucky, "a", more, writer="w", rule=COUNTERS, origin=Origin("e", "t1"))
    assert (record.data, record.version) == ({"n": 1, "other": 1}, 2)


async def test_with_origin_the_whole_call_may_be_repeated(store: ContextStore) -> None:
    origin = Origin("edge-1", "t1")
    unlucky = Unlucky(store, StoreError("lost"), after=True, times=99)
    with pytest.raises(StoreError):
        await edit(unlucky, "a", more, writer="w", attempts=2, origin=origin)
    assert unlucky.saves == 2
    assert (await edit(store, "a", more, writer="w", origin=origin)).data == {"n": 1}
    assert (await edit(store, "a", more, writer="w", origin=Origin("edge-1", "t2"))).data == {
        "n": 2
    }


async def test_a_failed_load_is_raised(store: ContextStore) -> None:
    await store.close()
    with pytest.raises(StoreError):
        await edit(store, "a", more, writer="w", origin=Origin("edge-1", "t1"))


# Wrong use


async def test_bad_arguments_are_refused(store: ContextStore) -> None:
    with pytest.raises(InvalidInput):
        await edit(store, "a//b", mine, writer="w")
    with pytest.raises(InvalidInput):
        await edit(store, "a", lambda _: {"x": object()}, writer="w")
    with pytest.raises(InvalidInput, match="NoneType"):
        await edit(store, "a", lambda data: data.clear(), writer="w")
    with pytest.raises(ValueError, match="attempts"):
        await edit(store, "a", mine, writer="w", attempts=0)
    assert (await store.changes()).records == ()


async def test_an_error_of_the_change_leaves_everything_as_it_is(store: ContextStore) -> None:
    await store.save("a", {"l": [1]}, 0, writer="w")

    def fail(data: dict[str, Any]) -> dict[str, Any]:
        data["l"].append(2)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await edit(store, "a", fail, writer="w")
    record = await store.load("a")
    assert (record.data, record.version) == ({"l": [1]}, 1)
