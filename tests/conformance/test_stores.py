"""What every store of the context memory promises (`ContextStore`)."""

from __future__ import annotations

import asyncio
import math
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from support.stores import gone

from secondlook.shared.errors import InvalidInput, NotFound, StoreError, VersionConflict
from secondlook.shared.memory import ContextStore, Write, edit
from secondlook.shared.memory.merging import Counter, Fields
from secondlook.shared.memory.record import MAX_DATA_BYTES, MAX_DEPTH, MAX_ID_BYTES, encode
from secondlook.shared.memory.rules import MAX_WRITER_BYTES

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize("expected", [1, 7, 2**63 - 2])
async def test_save_over_nothing_expects_zero(store: ContextStore, expected: int) -> None:
    with pytest.raises(VersionConflict) as conflict:
        await store.save("a", {}, expected, writer="w")
    assert (conflict.value.expected, conflict.value.actual) == (expected, 0)
    assert conflict.value.current is None
    with pytest.raises(NotFound):
        await store.load("a")


@pytest.mark.parametrize("expected", [0, 1, 3, 2**63 - 2])
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
    assert saved.expires_at - saved.updated_at == pytest.approx(0.03, abs=0.002)
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
    await store.save("a", {}, 0, writer="w", ttl_s=60)
    longer = await store.save("a", {}, 1, writer="w", ttl_s=3600)
    assert longer.expires_at is not None
    assert longer.expires_at - longer.updated_at == pytest.approx(3600, abs=0.01)
    for_ever = await store.save("a", {}, 2, writer="w")
    assert for_ever.expires_at is None
    assert await store.load("a") == for_ever


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
    [
        *("", "a//b", "/a", "a/", "a/../b", "../a", "a/..", ".", "a/./b"),
        *("x\ny", "a\r", "\x00", "\x1b[2J", "a\u2028b", "a\u202eb", "\ud800", "a\udcff"),
        *("x" * 513, "é" * 257, "x" * 10_000, "a/" * 5_000),
    ],
)
async def test_bad_ids_are_refused(store: ContextStore, record_id: str) -> None:
    await store.save("a", {"n": 1}, 0, writer="w")
    with pytest.raises(InvalidInput):
        await store.save(record_id, {}, 0, writer="w")
    with pytest.raises(InvalidInput):
        await store.load(record_id)
    with pytest.raises(InvalidInput):
        await store.delete(record_id, 1, writer="w")
    (outcome,) = await store.apply([Write(record_id, {}, 0, "w")])
    assert isinstance(outcome.error, InvalidInput)
    assert len(str(outcome.error)) < 50_000
    assert [record.id for record in (await store.changes()).records] == ["a"]


@pytest.mark.parametrize(
    "record_id",
    ["東京/カメラ/scene/今", "a/ü/é/🚦", "a/%2e%2e/x*?[1]/{s}", "a/b:c|d\\e'f\"g", "é" * 256, "a"],
)
async def test_any_printable_id_is_a_record_of_its_own(store: ContextStore, record_id: str) -> None:
    other = await store.save(record_id[:-1] + "z", {"other": True}, 0, writer="w")
    saved = await store.save(record_id, {"n": 1}, 0, writer="ß")
    assert await store.load(record_id) == saved
    assert (await store.changes(record_id)).records == (saved,)
    assert (await store.delete(record_id, 1, writer="ß")).version == 2
    assert await store.load(other.id) == other


async def test_ids_that_only_look_alike_are_different(store: ContextStore) -> None:
    for number, record_id in enumerate(("a/é", "a/e\u0301", "A/é", "a/É")):
        await store.save(record_id, {"n": number}, 0, writer="w")
    assert (await store.load("a/e\u0301")).data == {"n": 1}
    assert len((await store.changes("a/")).records) == 3


def nested(levels: int) -> dict[str, Any]:
    """A document with so many levels below its top."""
    data: Any = 1
    for level in range(levels):
        data = {"x": data} if level % 2 or level == levels - 1 else [data]
    return {"x": 1} if levels == 0 else data


def cyclic(kind: type[Any]) -> dict[str, Any]:
    """A Python object that holds itself; as a tuple, one that holds lists many times over."""
    if kind is tuple:
        many: list[Any] = []
        for _ in range(MAX_DEPTH - 2):
            many = [many] * 10
        return {"many": many}
    if kind is dict:
        data: dict[str, Any] = {}
        data["self"] = data
        return data
    items: list[Any] = []
    items.append(items)
    return {"items": items}


@pytest.mark.parametrize(
    "data",
    [
        {"x": math.nan},
        {"x": math.inf},
        {"x": [-math.inf]},
        {"x": b"bytes"},
        {"x": {1, 2}},
        {"x": 1j},
        {"x": object()},
        {1: "key"},
        {None: "key"},
        {"x": {True: "key"}},
        {"x": "\ud800"},
        {"\udcff": 1},
        pytest.param({"x": 10**10_000}, id="huge"),
        [1],
        "text",
        None,
        nested(MAX_DEPTH + 1),
        nested(2_000),
        cyclic(dict),
        cyclic(list),
        cyclic(tuple),
    ],
)
async def test_bad_data_is_refused_before_anything_is_written(
    store: ContextStore, data: Any
) -> None:
    with pytest.raises(InvalidInput):
        await store.save("a", data, 0, writer="w")
    assert (await store.changes()).records == ()


async def test_the_deepest_document_fits(store: ContextStore) -> None:
    saved = await store.save("a", nested(MAX_DEPTH), 0, writer="w")
    assert (await store.load("a")).data == nested(MAX_DEPTH) == saved.data


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        2**200,
        1e308,
        -1e-308,
        0.1,
        "\x00",
        "\u2028",
        "💡",
        "",
        [],
        {},
        None,
        False,
    ],
)
async def test_any_json_value_comes_back_as_it_was(store: ContextStore, value: Any) -> None:
    await store.save("a", {"x": value, "": [value]}, 0, writer="w")
    found = (await store.load("a")).data
    assert found == {"x": value, "": [value]}
    assert type(found["x"]) is type(value)


async def test_any_mapping_is_a_document(store: ContextStore) -> None:
    data = MappingProxyType({"deep": MappingProxyType({"x": (1, 2)})})
    await store.save("a", data, 0, writer="w")
    assert (await store.load("a")).data == {"deep": {"x": [1, 2]}}


async def test_what_was_saved_is_not_changed_through_the_callers_document(
    store: ContextStore,
) -> None:
    data: dict[str, Any] = {"list": [1]}
    saved = await store.save("a", data, 0, writer="w")
    data["list"].append(2)
    assert saved.data == (await store.load("a")).data == {"list": [1]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"expected_version": -1},
        {"expected_version": 2**63 - 1},
        {"expected_version": 2**63},
        {"expected_version": 2**100},
        {"writer": ""},
        {"writer": "x" * 129},
        {"writer": "é" * 65},
        {"writer": "a\nb"},
        {"writer": "\ud800"},
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
    (outcome,) = await store.apply([Write("a", {}, **arguments)])
    assert isinstance(outcome.error, InvalidInput)
    if "ttl_s" not in wrong:
        with pytest.raises(InvalidInput):
            await store.delete("a", **arguments)
    assert (await store.changes()).records == ()


@pytest.mark.parametrize(
    ("prefix", "since", "limit"),
    [
        ("", -1, 10),
        ("", 2**63, 10),
        ("", 2**64, 10),
        ("", 0, 0),
        ("", 0, -1),
        ("", 0, 1001),
        ("", 0, 2**40),
        ("\n", 0, 10),
        ("x" * 513, 0, 10),
        ("\ud800", 0, 10),
    ],
)
async def test_bad_pages_are_refused(
    store: ContextStore, prefix: str, since: int, limit: int
) -> None:
    with pytest.raises(InvalidInput):
        await store.changes(prefix, since, limit)


def sized(size: int) -> dict[str, str]:
    """A document of so many bytes."""
    return {"x": "y" * (size - len(encode({"x": ""})))}


async def test_the_largest_record_fits_and_one_byte_more_does_not(store: ContextStore) -> None:
    record_id = "x" * MAX_ID_BYTES
    saved = await store.save(record_id, sized(MAX_DATA_BYTES), 0, writer="w" * MAX_WRITER_BYTES)
    assert await store.load(record_id) == saved
    with pytest.raises(InvalidInput, match="bytes"):
        await store.save(record_id, sized(MAX_DATA_BYTES + 1), 1, writer="w")
    with pytest.raises(VersionConflict) as conflict:
        await store.save(record_id, {}, 0, writer="w")
    assert conflict.value.current == saved
    assert await store.load(record_id) == saved


async def test_pages_of_the_largest_records_are_complete(store: ContextStore) -> None:
    count = 100
    for start in range(0, count, 20):
        await store.apply(
            [
                Write(f"site/cam/x/{n}", sized(MAX_DATA_BYTES), 0, "w")
                for n in range(start, start + 20)
            ]
        )
    seen: list[str] = []
    cursor, more = 0, True
    while more:
        page = await store.changes("site/cam/", cursor, 1000)
        seen += [record.id for record in page.records]
        cursor, more = page.cursor, page.more
    assert seen == [f"site/cam/x/{n}" for n in range(count)]


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
