"""What has been dead for long is forgotten (`Compactable`), and old cursors are told so."""

from __future__ import annotations

import pytest
from support.stores import gone

from secondlook.shared.errors import CursorTooOld, InvalidInput, NotFound, VersionConflict
from secondlook.shared.memory import Compactable, ContextStore, Origin

pytestmark = pytest.mark.anyio

LONG_S = 3600.0


async def forget_all(behind: Compactable, limit: int = 1000) -> int:
    """Forget all that is dead by now."""
    total = 0
    while True:
        forgotten = await behind.compact(0, limit)
        total += forgotten
        if forgotten < limit:
            return total


async def buried(store: ContextStore, record_id: str) -> int:
    """Save and delete; returns the change of the tombstone."""
    await store.save(record_id, {}, 0, writer="w")
    return (await store.delete(record_id, 1, writer="w")).change


async def test_nothing_is_forgotten_too_early(store: ContextStore, behind: Compactable) -> None:
    await buried(store, "a")
    await store.save("b", {}, 0, writer="w")
    assert await behind.compact(LONG_S) == 0
    page = await store.changes()
    assert [(record.id, record.deleted) for record in page.records] == [("a", True), ("b", False)]
    assert (await store.save("a", {}, 0, writer="w")).version == 3


async def test_a_forgotten_record_begins_anew(store: ContextStore, behind: Compactable) -> None:
    await buried(store, "a")
    assert await forget_all(behind) == 1
    assert (await store.changes()).records == ()
    with pytest.raises(NotFound):
        await store.load("a")
    with pytest.raises(NotFound):
        await store.delete("a", 2, writer="w")
    with pytest.raises(VersionConflict) as conflict:
        await store.save("a", {}, 2, writer="w")
    assert (conflict.value.actual, conflict.value.current) == (0, None)
    again = await store.save("a", {"n": 2}, 0, writer="w")
    assert again.version == 1
    assert (await store.changes()).records == (again,)


async def test_an_origin_is_forgotten_with_its_record(
    store: ContextStore, behind: Compactable
) -> None:
    origin = Origin("edge", "t")
    await store.save("a", {}, 0, writer="w", origin=origin)
    await store.delete("a", 1, writer="w")
    await forget_all(behind)
    assert (await store.save("a", {}, 0, writer="w", origin=origin)).version == 1


async def test_what_lives_is_untouched(store: ContextStore, behind: Compactable) -> None:
    kept = [
        await store.save("a", {"n": 1}, 0, writer="w"),
        await store.save("b", {}, 0, writer="w", ttl_s=LONG_S),
    ]
    await buried(store, "c")
    await buried(store, "d")
    kept.append(await store.save("d", {"back": True}, 0, writer="w"))
    assert await forget_all(behind) == 1
    for record in kept:
        assert await store.load(record.id) == record
    assert (await store.changes()).records == tuple(kept)


async def test_what_has_expired_is_forgotten_too(store: ContextStore, behind: Compactable) -> None:
    before = await store.save("b", {}, 0, writer="w")
    await store.save("a", {"n": 1}, 0, writer="w", ttl_s=0.02)
    await gone(store, "a")
    assert await behind.compact(LONG_S) == 0
    assert await forget_all(behind) == 1
    assert [record.id for record in (await store.changes()).records] == ["b"]
    with pytest.raises(CursorTooOld):
        await store.changes(since=before.change)
    assert (await store.save("a", {}, 0, writer="w")).version == 1


async def test_who_renewed_its_time_to_live_is_not_forgotten(
    store: ContextStore, behind: Compactable
) -> None:
    await store.save("a", {}, 0, writer="w", ttl_s=0.02)
    await gone(store, "a")
    kept = await store.save("a", {}, 0, writer="w", ttl_s=LONG_S)
    assert await forget_all(behind) == 0
    assert await store.load("a") == kept


async def test_a_cursor_below_the_floor_is_too_old(
    store: ContextStore, behind: Compactable
) -> None:
    before = (await store.save("x", {}, 0, writer="w")).change
    tombstone = await buried(store, "a")
    after = (await store.save("y", {}, 0, writer="w")).change
    assert [r.id for r in (await store.changes(since=before)).records] == ["a", "y"]
    await forget_all(behind)
    with pytest.raises(CursorTooOld) as old:
        await store.changes(since=before)
    assert (old.value.since, old.value.floor) == (before, tombstone)
    # The floor itself, and all behind it, are not too old; nor is the beginning.
    page = await store.changes(since=old.value.floor)
    assert [record.id for record in page.records] == ["y"]
    assert (await store.changes(since=after)).records == ()
    assert [record.id for record in (await store.changes()).records] == ["x", "y"]


async def test_a_full_listing_gets_past_the_floor_page_by_page(
    store: ContextStore, behind: Compactable
) -> None:
    for n in range(7):
        await store.save(f"site/cam/x/{n}", {}, 0, writer="w")
    await buried(store, "site/cam/x/dead")
    last = await store.save("site/cam/x/last", {}, 0, writer="w")
    await forget_all(behind)
    for prefix in ("", "site/", "site/cam/"):
        seen: list[str] = []
        cursor, more = 0, True
        while more:
            page = await store.changes(prefix, cursor, 2)
            assert len(page.records) <= 2
            seen += [record.id for record in page.records]
            cursor, more = page.cursor, page.more
        assert seen == [*(f"site/cam/x/{n}" for n in range(7)), "site/cam/x/last"]
        # The cursor at its end is one like any other.
        assert (await store.changes(prefix, cursor)).records == ()
        later = await store.save("site/cam/x/last", {}, last.version, writer="w")
        assert (await store.changes(prefix, cursor)).records == (later,)
        last = later


async def test_forgetting_goes_on_step_by_step(store: ContextStore, behind: Compactable) -> None:
    for n in range(7):
        await buried(store, f"r/{n}")
    assert [await behind.compact(0, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert (await store.changes()).records == ()


@pytest.mark.parametrize(("keep_s", "limit"), [(-1.0, 1), (float("nan"), 1), (1.0, 0), (1.0, -1)])
async def test_bad_arguments_are_refused(
    store: ContextStore, behind: Compactable, keep_s: float, limit: int
) -> None:
    await buried(store, "a")
    with pytest.raises(InvalidInput):
        await behind.compact(keep_s, limit)
    assert len((await store.changes()).records) == 1
