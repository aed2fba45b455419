from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from support.redis import RedisServer, redis_server

from secondlook.shared.errors import CursorTooOld
from secondlook.shared.memory.record import Changes, Write
from secondlook.shared.memory.redis import RedisStore, pages
from secondlook.shared.memory.redis.connections import Connections

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisStore]:
    opened = await RedisStore.open(redis.url, namespace=request.node.name)
    yield opened
    await opened.close()


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of commands of each exchange, as they happen."""
    seen: list[int] = []
    exchange = Connections.exchange

    async def counted(self: Connections, commands: list[object], wait_s: float = 0.0) -> object:
        seen.append(len(commands))
        return await exchange(self, commands, wait_s)  # type: ignore[arg-type]

    monkeypatch.setattr(Connections, "exchange", counted)
    return seen


async def fill(store: RedisStore, sites: int, each: int) -> list[str]:
    """Records of each site in turn; returns their ids in the order of change."""
    ids = [f"site-{site}/{n}" for n in range(each) for site in range(sites)]
    for start in range(0, len(ids), 250):
        part = ids[start : start + 250]
        outcomes = await store.apply([Write(record_id, {}, 0, "w") for record_id in part])
        assert all(outcome.error is None for outcome in outcomes)
    return ids


async def walk(store: RedisStore, prefix: str, limit: int) -> list[Changes]:
    found = []
    since, more = 0, True
    while more:
        page = await store.changes(prefix, since, limit)
        found.append(page)
        since, more = page.cursor, page.more
    return found


@pytest.mark.parametrize("entries", [20_000, 40, 8, 1])
@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_sites_are_merged_by_change_whatever_fits(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, entries: int, limit: int
) -> None:
    monkeypatch.setattr(pages, "ENTRIES", entries)
    ids = await fill(store, sites=8, each=6)
    found = await walk(store, "", limit)
    assert [record.id for page in found for record in page.records] == ids
    assert all(len(page.records) <= limit for page in found)
    assert all(page.records for page in found[:-1])


async def test_a_prefix_of_several_sites(store: RedisStore) -> None:
    await fill(store, sites=12, each=2)
    page = await store.changes("site-1")
    assert {record.id for record in page.records} == {
        f"site-{site}/{n}" for site in (1, 10, 11) for n in range(2)
    }
    assert page.cursor == (await store.changes()).cursor


async def test_a_page_ends_where_its_records_are_large(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_BYTES", 100_000)
    monkeypatch.setattr(pages, "FIRST", 2)
    ids = [f"site-{n % 3}/{n}" for n in range(12)]
    for record_id in ids:
        await store.save(record_id, {"x": "y" * 40_000}, 0, writer="w")
    for prefix, wanted in (("", ids), ("site-1/", ids[1::3])):
        found = await walk(store, prefix, 1000)
        assert [record.id for page in found for record in page.records] == wanted
        assert max(len(page.records) for page in found) <= 4


async def test_what_is_written_between_two_round_trips_comes_once_and_newest(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, sites=3, each=2)
    exchange = Connections.exchange
    done = False

    async def disturbed(self: Connections, commands: list[object], wait_s: float = 0.0) -> object:
        nonlocal done
        if not done and any(b"HMGET" in str(command).encode() for command in commands):
            done = True
            await store.save("site-1/0", {"new": True}, 1, writer="w")
            await store.save("site-9/0", {}, 0, writer="w")
        return await exchange(self, commands, wait_s)  # type: ignore[arg-type]

    monkeypatch.setattr(Connections, "exchange", disturbed)
    first = await store.changes()
    second = await store.changes(since=first.cursor)
    assert done
    assert "site-1/0" not in [record.id for record in first.records]
    assert [(record.id, dict(record.data)) for record in second.records] == [
        ("site-1/0", {"new": True}),
        ("site-9/0", {}),
    ]


async def test_what_is_forgotten_between_two_round_trips_is_told(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await store.save("site-0/kept", {}, 0, writer="w")
    await store.save("site-1/gone", {}, 0, writer="w")
    await store.delete("site-1/gone", 1, writer="w")
    exchange = Connections.exchange
    done = False

    async def disturbed(self: Connections, commands: list[object], wait_s: float = 0.0) -> object:
        nonlocal done
        if not done and any("HMGET" in str(command) for command in commands):
            done = True
            assert await store.compact(0.0) == 1
        return await exchange(self, commands, wait_s)  # type: ignore[arg-type]

    monkeypatch.setattr(Connections, "exchange", disturbed)
    with pytest.raises(CursorTooOld):
        await store.changes(since=first.change)
    assert done


@pytest.mark.parametrize("prefix", ["", "site-1/"])
async def test_a_listing_gets_past_the_floor_and_others_do_not(
    store: RedisStore, prefix: str
) -> None:
    ids = [record_id for record_id in await fill(store, 2, 6) if record_id.startswith(prefix)]
    middle = (await store.load(ids[2])).change
    await store.save("site-1/gone", {}, 0, writer="w")
    await store.delete("site-1/gone", 1, writer="w")
    assert await store.compact(0.0) == 1
    found = await walk(store, prefix, 2)
    assert [record.id for page in found for record in page.records] == ids
    with pytest.raises(CursorTooOld) as error:
        await store.changes(prefix, since=middle)
    assert error.value.floor > middle
    assert (await store.changes(prefix, since=error.value.floor)).records == ()
    # Another site has forgotten nothing.
    assert (await store.changes("site-0/", since=middle)).records


async def test_calls_take_as_few_round_trips_as_they_say(
    store: RedisStore, round_trips: list[int]
) -> None:
    await store.save("site/a", {}, 0, writer="w")
    await store.changes("site/")
    for call, trips in (
        (lambda: store.save("site/a", {}, 1, writer="w"), 1),
        (lambda: store.load("site/a"), 1),
        (lambda: store.apply([Write(f"s{n}/x", {}, 0, "w") for n in range(200)]), 1),
        (lambda: store.delete("site/a", 2, writer="w"), 1),
        (lambda: store.changes("site/", 0, 1000), 1),
        (lambda: store.changes("site/cam", 0, 1000), 1),
        (lambda: store.changes("", 0, 100), 3),
    ):
        round_trips.clear()
        await call()
        assert len(round_trips) == trips


async def test_a_cursor_passes_the_other_sites(store: RedisStore) -> None:
    await fill(store, sites=1, each=300)
    page = await store.changes("elsewhere/")
    assert (page.records, page.more) == ((), False)
    newest = (await store.changes(limit=1000)).cursor
    assert page.cursor == newest


async def test_forgetting_leaves_no_key_behind_but_the_floor(
    store: RedisStore, redis: RedisServer, request: pytest.FixtureRequest
) -> None:
    await fill(store, sites=3, each=200)
    await store.save("site-0/mortal", {}, 0, writer="w", ttl_s=0.001)
    for start in range(0, 600, 200):
        await store.apply([Write(f"site-{start // 200}/{n}", None, 1, "w") for n in range(200)])
    with anyio.fail_after(10):
        count = 0
        while count < 601:
            count += await store.compact(0.0, limit=301)
    keys = await redis.ask("KEYS", f"{{{request.node.name}}}*")
    assert {key.decode().rpartition(":")[2] for key in keys} == {"sequence", "server", "floors"}


async def test_a_grave_of_what_lives_again_is_empty(store: RedisStore, redis: RedisServer) -> None:
    await store.save("site/a", {}, 0, writer="w", ttl_s=3600)
    await store.save("site/a", {}, 1, writer="w")
    await store.delete("site/a", 2, writer="w")
    await store.save("site/a", {}, 0, writer="w")
    graves = "{test_a_grave_of_what_lives_again_is_empty}:graves"
    assert await redis.ask("ZCARD", graves) == 0
    # Nor is it forgotten where the graves are wrong about it.
    await redis.ask("ZADD", graves, 1, "site/a")
    assert await store.compact(0.0) == 0
    assert await redis.ask("ZCARD", graves) == 0
    assert (await store.load("site/a")).version == 4
