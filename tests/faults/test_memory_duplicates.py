"""A write that the network delivers again, late, behind newer ones, has no second effect."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
from support.redis import RedisServer, redis_server

from secondlook.shared.errors import NotFound, VersionConflict
from secondlook.shared.memory import ContextStore, SqliteStore
from secondlook.shared.memory.record import Origin, Write
from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio

R = "site/cam/kind/key"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ContextStore]:
    opened: ContextStore
    if request.param == "sqlite":
        opened = await SqliteStore.open(":memory:")
    else:
        server = request.getfixturevalue("redis")
        opened = await RedisStore.open(server.url, namespace=f"late-{next(NUMBERS)}")
    yield opened
    await opened.close()


def write(number: int, data: dict[str, int] | None, expected: int, replica: str = "edge") -> Write:
    return Write(R, data, expected, "w", origin=Origin(replica, f"{number:020d}"))


async def refused(store: ContextStore, again: Write) -> bool:
    """Whether a write is a conflict although nothing stands."""
    (outcome,) = await store.apply([again])
    return isinstance(outcome.error, VersionConflict) and outcome.error.current is None


async def test_a_creation_that_comes_late_does_not_bring_back_what_was_deleted(
    store: ContextStore,
) -> None:
    created, deleted = write(9, {"n": 1}, 0), write(10, None, 1)
    assert [o.error for o in await store.apply([created, deleted])] == [None, None]
    assert await refused(store, created)
    with pytest.raises(NotFound):
        await store.load(R)
    (page,) = (await store.changes()).records
    assert page.version == 2


async def test_a_creation_that_was_refused_stays_refused(store: ContextStore) -> None:
    lost = write(9, {"n": 1}, 0)
    outcomes = await store.apply([write(1, {"n": 2}, 0, "other"), lost])
    assert isinstance(outcomes[1].error, VersionConflict)
    # It has not changed what stands, nor what others see of it.
    assert (await store.changes(since=1)).records == ()
    assert (await store.load(R)).version == 1
    await store.apply([write(2, None, 1, "other")])
    assert await refused(store, lost)
    assert await refused(store, write(8, {"n": 1}, 0))
    (newer,) = await store.apply([write(10, {"n": 3}, 0)])
    assert (newer.repeat, newer.record and newer.record.version) == (False, 3)
    (again,) = await store.apply([write(10, {"n": 3}, 0)])
    assert again.repeat


async def test_saved_alone_it_is_told_in_the_same_way(store: ContextStore) -> None:
    origin = Origin("edge", "1".zfill(20))
    await store.save(R, {"n": 1}, 0, writer="w")
    for _ in range(2):
        with pytest.raises(VersionConflict) as conflict:
            await store.save(R, {"n": 2}, 0, writer="w", origin=origin)
        assert conflict.value.actual == 1
    await store.delete(R, 1, writer="w")
    with pytest.raises(VersionConflict) as conflict:
        await store.save(R, {"n": 2}, 0, writer="w", origin=origin)
    assert (conflict.value.actual, conflict.value.current) == (0, None)


async def test_others_and_newer_ones_create_it_again(store: ContextStore) -> None:
    await store.apply([write(9, {"n": 1}, 0), write(10, None, 1)])
    (other,) = await store.apply([write(3, {"n": 2}, 0, "other")])
    assert (other.repeat, other.record and other.record.version) == (False, 3)
    await store.apply([write(4, None, 3, "other")])
    (newer,) = await store.apply([write(11, {"n": 3}, 0)])
    assert (newer.repeat, newer.record and newer.record.version) == (False, 5)


async def test_tokens_that_are_no_numbers_have_no_order(store: ContextStore) -> None:
    for token, data, expected in (("b", {"n": 1}, 0), ("c", None, 1), ("a", {"n": 2}, 0)):
        origin = Origin("edge", token)
        (outcome,) = await store.apply([Write(R, data, expected, "w", origin=origin)])
        assert not outcome.repeat
    origin = Origin("edge", "9" * 19)
    (outcome,) = await store.apply([Write(R, {"n": 3}, 3, "w", origin=origin)])
    assert (outcome.repeat, outcome.record and outcome.record.version) == (False, 4)


async def test_a_replica_whose_name_ends_like_another_is_another(store: ContextStore) -> None:
    await store.apply([write(9, {"n": 1}, 0, "the-edge"), write(10, None, 1, "the-edge")])
    (outcome,) = await store.apply([write(1, {"n": 2}, 0, "edge")])
    assert (outcome.repeat, outcome.record and outcome.record.version) == (False, 3)


async def test_a_change_that_comes_late_changes_nothing(store: ContextStore) -> None:
    changed = write(2, {"n": 2}, 1)
    await store.apply([write(1, {"n": 1}, 0), changed, write(3, {"n": 3}, 2)])
    (late,) = await store.apply([changed])
    assert late.repeat or isinstance(late.error, VersionConflict)
    assert (await store.load(R)).data == {"n": 3}
