from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from secondlook.shared.errors import InvalidInput, VersionConflict
from secondlook.shared.memory import Record, SqliteStore, edit
from secondlook.shared.memory.protocol import ContextStore

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store() -> AsyncIterator[ContextStore]:
    opened = await SqliteStore.open(":memory:")
    yield opened
    await opened.close()


class Meddled:
    """A store where somebody else is first, the given number of times."""

    def __init__(self, store: ContextStore, times: int) -> None:
        self._store = store
        self.left = times
        self.loads = 0

    async def load(self, record_id: str) -> Record:
        self.loads += 1
        return await self._store.load(record_id)

    async def save(self, record_id: str, data: Any, expected: int, **fields: Any) -> Record:
        if self.left:
            self.left -= 1
            await edit(
                self._store,
                record_id,
                lambda found: {**found, "other": found.get("other", 0) + 1},
                writer="other",
            )
        return await self._store.save(record_id, data, expected, **fields)


def mine(data: dict[str, Any]) -> dict[str, Any]:
    data["mine"] = data.get("mine", 0) + 1
    return data


async def test_a_new_record_begins_with_nothing(store: ContextStore) -> None:
    record = await edit(store, "a", mine, writer="w")
    assert (record.data, record.version) == ({"mine": 1}, 1)


async def test_a_tombstone_is_edited_like_nothing(store: ContextStore) -> None:
    await edit(store, "a", mine, writer="w")
    await store.delete("a", 1, writer="w")
    record = await edit(store, "a", mine, writer="w")
    assert (record.data, record.version) == ({"mine": 1}, 3)


async def test_on_conflict_the_change_is_made_on_what_stands(store: ContextStore) -> None:
    meddled = Meddled(store, 3)
    record = await edit(meddled, "a", mine, writer="w")
    assert record.data == {"mine": 1, "other": 3}
    assert record.version == 4
    # The conflict brings what stands: it is not loaded again.
    assert meddled.loads == 1


async def test_after_the_last_attempt_the_conflict_is_raised(store: ContextStore) -> None:
    with pytest.raises(VersionConflict) as conflict:
        await edit(Meddled(store, 99), "a", mine, writer="w", attempts=3)
    assert conflict.value.current.data == {"other": 3}


async def test_changing_in_place_does_not_reach_the_conflicts_record(store: ContextStore) -> None:
    await store.save("a", {"list": [1]}, 0, writer="w")
    seen = []

    def append(data: dict[str, Any]) -> dict[str, Any]:
        data["list"].append(2)
        seen.append(list(data["list"]))
        return data

    record = await edit(Meddled(store, 2), "a", append, writer="w")
    assert record.data["list"] == [1, 2]
    assert seen == [[1, 2]] * 3


async def test_time_to_live_is_passed_on(store: ContextStore) -> None:
    assert (await edit(store, "a", mine, writer="w", ttl_s=60)).expires_at is not None


async def test_bad_arguments_are_refused(store: ContextStore) -> None:
    with pytest.raises(InvalidInput):
        await edit(store, "a//b", mine, writer="w")
    with pytest.raises(InvalidInput):
        await edit(store, "a", lambda _: {"x": object()}, writer="w")
    with pytest.raises(ValueError, match="attempts"):
        await edit(store, "a", mine, writer="w", attempts=0)
