"""What every store of the context memory promises (`ContextStore`)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from support.redis import RedisServer, redis_server

from secondlook.shared.errors import InvalidInput, NotFound, StoreError, VersionConflict
from secondlook.shared.memory import ContextStore, SqliteStore, edit, open_store
from secondlook.shared.memory.merging import Counter, Fields
from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "sqlite-memory", "redis"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer
) -> AsyncIterator[ContextStore]:
    opened: ContextStore
    if request.param == "redis":
        opened = await RedisStore.open(redis.url, namespace=request.node.name)
    elif request.param == "sqlite":
        opened = await open_store(f"sqlite:///{tmp_path / 'memory.db'}")
    else:
        opened = await SqliteStore.open(":memory:")
    yield opened
    await opened.close()


async def gone(store: ContextStore, record_id: str) -> None:
    """Wait until a record is past its time to live."""
    with anyio.fail_after(5):
        while True:
            try:
                await store.load(record_id)
            except NotFound:
                return
            await anyio.sleep(0.005)


async def test_is_a_context_store(store: ContextStore) -> None:
    assert isinstance(store, ContextStore)
    await store.ping()


async def test_save_and_load_give_the_same_record(store: ContextStore) -> None:
    data = {"name": "Straße 東京 🚦", "n": 2**60, "x": -1.5e-7, "deep": {"list": [1, None, True]}}
    saved = await store.save("site/cam/scene/now", data, 0, writer="edge-1")
    assert await store.load("site/cam/scene/now") == saved
    assert (saved.version, saved.writer, saved.deleted, saved.expires_at) == (
        1,
        "edge-1",
        False,
        None,
    )
    assert saved.data == data
    assert saved.updated_at > 1_600_000_000


async def test_versions_grow_by_one_and_changes_grow(store: ContextStore) -> None:
    records = [await store.save("a", {"n": n}, n, writer="w") for n in range(5)]
    other = await store.save("b", {}, 0, writer="w")
    assert [record.version for record in records] == [1, 2, 3, 4, 5]
    changes = [record.change for record in [*records, other]]
    assert changes == sorted(set(changes))


@pytest.mark.parametrize("expected", [1, 7, 2**62])
async def test_save_over_nothing_expects_zero(store: ContextStore, expected: int) -> None:
    with pytest.raises(VersionConflict) as conflict:
        await store.save("a", {}, expected, writer="w")
    assert (conflict.value.expected, conflict.value.actual) == (expected, 0)
    assert conflict.value.current is None
    with pytest.raises(NotFound):
        await store.load("a")


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_a_conflict_carries_what_stands(store: ContextStore, expected: int) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    second = await store.save("a", {"n": 2}, 1, writer="w")
    with pytest.raises(VersionConflict) as conflict:
        await store.save("a", {"n": 3}, expected, writer="w")
    assert conflict.value.actual == 2
    assert conflict.value.current == second
    with pytest.raises(VersionConflict) as conflict:
        await store.delete("a", expected, writer="w")
    assert conflict.value.current == second
    assert await store.load("a") == second


async def test_a_tombstone_keeps_the_count(store: ContextStore) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    tombstone = await store.delete("a", 1, writer="deleter")
    assert (tombstone.version, tombstone.deleted, tombstone.data) == (2, True, {})
    assert tombstone.writer == "deleter"
    with pytest.raises(NotFound):
        await store.load("a")
    with pytest.raises(NotFound):
        await store.delete("a", 2, writer="w")
    with pytest.raises(VersionConflict) as conflict:
        await store.save("a", {}, 2, writer="w")
    assert (conflict.value.actual, conflict.value.current) == (0, None)
    again = await store.save("a", {"n": 2}, 0, writer="w")
    assert again.version == 3
    assert again.change > tombstone.change


async def test_a_record_past_its_time_to_live_is_absent(store: ContextStore) -> None:
    saved = await store.save("a", {"n": 1}, 0, writer="w", ttl_s=0.03)
    assert saved.expires_at is not None
    assert 0 < saved.expires_at - saved.updated_at <= 0.031
    await gone(store, "a")
    with pytest.raises(NotFound):
        await store.delete("a", 1, writer="w")
    page = await store.changes()
    assert [(r.id, r.version, r.deleted, dict(r.data)) for r in page.records] == [
        ("a", 1, True, {})
    ]
    again = await store.save("a", {"n": 2}, 0, writer="w")
    assert again.version == 2
    assert again.expires_at is None


async def test_a_save_renews_the_time_to_live(store: ContextStore) -> None:
    await store.save("a", {}, 0, writer="w", ttl_s=0.03)
    kept = await store.save("a", {}, 1, writer="w", ttl_s=3600)
    await store.save("clock", {}, 0, writer="w", ttl_s=0.05)
    await gone(store, "clock")
    assert await store.load("a") == kept


async def test_changes_list_each_record_once_at_its_newest_change(store: ContextStore) -> None:
    for n in range(3):
        await store.save("a", {"n": n}, n, writer="w")
        await store.save("b", {"n": n}, n, writer="w")
    await store.delete("a", 3, writer="w")
    page = await store.changes()
    assert [(r.id, r.version, r.deleted) for r in page.records] == [("b", 3, False), ("a", 4, True)]
    assert not page.more
    after = await store.changes(since=page.cursor)
    assert (after.records, after.more, after.cursor) == ((), False, page.cursor)


async def test_changes_go_on_page_by_page(store: ContextStore) -> None:
    for n in range(7):
        await store.save(f"r{n}", {}, 0, writer="w")
    seen: list[str] = []
    cursor, more = 0, True
    sizes = []
    while more:
        page = await store.changes(since=cursor, limit=3)
        sizes.append(len(page.records))
        seen += [record.id for record in page.records]
        cursor, more = page.cursor, page.more
    assert seen == [f"r{n}" for n in range(7)]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("prefix", "ids"),
    [
        ("site/cam1/", ["site/cam1/a"]),
        ("site/cam1", ["site/cam1/a", "site/cam10/a"]),
        ("site/%", ["site/%/a"]),
        ("ünï/", ["ünï/a"]),
        ("nothing", []),
    ],
)
async def test_changes_of_a_prefix(store: ContextStore, prefix: str, ids: list[str]) -> None:
    for record_id in ("site/cam1/a", "site/cam10/a", "site/%/a", "ünï/a", "SITE/cam1/a"):
        await store.save(record_id, {}, 0, writer="w")
    page = await store.changes(prefix)
    assert [record.id for record in page.records] == ids
    # The cursor has passed the other records too: the next call does not look at them again.
    assert page.cursor == (await store.changes()).cursor


async def test_a_prefix_is_found_among_many(store: ContextStore) -> None:
    for n in range(1100):
        await store.save(f"other/{n}", {}, 0, writer="w")
        if n in (0, 1050):
            await store.save(f"mine/{n}", {}, 0, writer="w")
    page = await store.changes("mine/", limit=10)
    assert [record.id for record in page.records] == ["mine/0", "mine/1050"]
    assert not page.more


@pytest.mark.parametrize(
    "record_id",
    ["", "a//b", "/a", "a/", "a/../b", ".", "x\ny", "\x00", "é" * 300, "\ud800"],
)
async def test_bad_ids_are_refused(store: ContextStore, record_id: str) -> None:
    with pytest.raises(InvalidInput):
        await store.save(record_id, {}, 0, writer="w")
    with pytest.raises(InvalidInput):
        await store.load(record_id)
    with pytest.raises(InvalidInput):
        await store.delete(record_id, 1, writer="w")


@pytest.mark.parametrize(
    "data",
    [
        {"x": math.nan},
        {"x": math.inf},
        {"x": b"bytes"},
        {1: "key"},
        {"x": "y" * 70_000},
        {"x": "\ud800"},
        [1],
        None,
    ],
)
async def test_bad_data_is_refused_before_anything_is_written(
    store: ContextStore, data: Any
) -> None:
    with pytest.raises(InvalidInput):
        await store.save("a", data, 0, writer="w")
    assert (await store.changes()).records == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"expected_version": -1},
        {"expected_version": 2**63},
        {"writer": ""},
        {"writer": "x" * 200},
        {"writer": "a\nb"},
        {"ttl_s": 0.0},
        {"ttl_s": -1.0},
        {"ttl_s": math.nan},
        {"ttl_s": math.inf},
        {"ttl_s": 1e12},
    ],
)
async def test_bad_arguments_are_refused(store: ContextStore, wrong: dict[str, Any]) -> None:
    arguments = {"expected_version": 0, "writer": "w", **wrong}
    with pytest.raises(InvalidInput):
        await store.save("a", {}, **arguments)
    assert (await store.changes()).records == ()


@pytest.mark.parametrize(
    ("prefix", "since", "limit"),
    [("", -1, 10), ("", 2**64, 10), ("", 0, 0), ("", 0, 1001), ("\n", 0, 10), ("x" * 600, 0, 10)],
)
async def test_bad_pages_are_refused(
    store: ContextStore, prefix: str, since: int, limit: int
) -> None:
    with pytest.raises(InvalidInput):
        await store.changes(prefix, since, limit)


async def test_the_largest_record_fits(store: ContextStore) -> None:
    record_id = "x" * 512
    saved = await store.save(record_id, {"x": "y" * 65_000}, 0, writer="w" * 128)
    assert await store.load(record_id) == saved


async def test_of_many_writers_exactly_one_wins_each_version(store: ContextStore) -> None:
    won: list[int] = []
    lost: list[VersionConflict] = []

    async def write(writer: int) -> None:
        try:
            record = await store.save("a", {"by": writer}, 0, writer=f"w{writer}")
            won.append(record.version)
        except VersionConflict as conflict:
            lost.append(conflict)

    async with anyio.create_task_group() as tasks:
        for writer in range(20):
            tasks.start_soon(write, writer)
    assert won == [1]
    standing = await store.load("a")
    assert len(lost) == 19
    assert all(conflict.current == standing for conflict in lost)


async def test_edits_of_many_writers_all_count(store: ContextStore) -> None:
    async def add() -> None:
        await edit(
            store,
            "counter",
            lambda data: {"n": data.get("n", 0) + 1},
            writer="w",
            attempts=100,
            rule=Fields({"n": Counter()}),
        )

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(add)
    record = await store.load("counter")
    assert (record.data, record.version) == ({"n": 10}, 10)


async def test_cancelled_calls_leave_the_store_usable(store: ContextStore) -> None:
    for n in range(30):
        task = asyncio.ensure_future(store.save(f"r{n}", {"n": n}, 0, writer="w"))
        for _ in range(n % 7):
            await anyio.lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])
    # No answer of a cancelled call is taken for the answer of a later one.
    for n in range(30):
        record = await edit(store, f"r{n}", lambda data: {**data, "seen": True}, writer="w")
        assert record.id == f"r{n}"
        assert record.data.get("n", n) == n
        assert record.version in (1, 2)


async def test_a_closed_store_says_so(store: ContextStore) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.load("a")
