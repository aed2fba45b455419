"""The `ContextMemory` service over a real loopback connection and a SQLite store in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import grpc
import grpc.aio
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import FakeDetector, channel_to, fake_cloud, settings
from support.waiting import eventually

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.metrics import RpcMetrics
from secondlook.cloud.rpc.boundary import Boundary
from secondlook.cloud.rpc.memory import ContextMemoryServicer
from secondlook.cloud.service import running_cloud
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc
from secondlook.shared.clock import SystemClock
from secondlook.shared.measure import CountingProxy
from secondlook.shared.memory import Changes, Compactable, ContextStore, SqliteStore
from secondlook.shared.memory.rules import LISTING
from secondlook.shared.wire.memory import CONFLICT_TRAILER, FLOOR_TRAILER, conflict_from_proto

pytestmark = pytest.mark.anyio


@pytest.fixture
async def memory() -> AsyncIterator[Any]:
    async with fake_cloud() as (_, channel):
        yield context_memory_pb2_grpc.ContextMemoryStub(channel)


def save(record_id: str, version: int = 0, **data: Any) -> pb.SaveRequest:
    return pb.SaveRequest(
        id=record_id, data=json.dumps(data).encode(), expected_version=version, writer="edge-1"
    )


async def test_save_load_delete(memory: Any) -> None:
    saved = (await memory.Save(save("site/cam/scene/now", lamp="on"))).record
    assert (saved.version, saved.writer, json.loads(saved.data)) == (1, "edge-1", {"lamp": "on"})
    assert (await memory.Load(pb.LoadRequest(id=saved.id))).record == saved
    buried = (
        await memory.Delete(pb.DeleteRequest(id=saved.id, expected_version=1, writer="w"))
    ).record
    assert (buried.version, buried.deleted, buried.data) == (2, True, b"")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Load(pb.LoadRequest(id=saved.id))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_conflict_brings_what_stands_in_a_trailer(memory: Any) -> None:
    standing = (await memory.Save(save("a", n=1))).record
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Save(save("a", n=2))
    assert error.value.code() is grpc.StatusCode.ABORTED
    trailer = dict(error.value.trailing_metadata())[CONFLICT_TRAILER]
    conflict = conflict_from_proto(pb.VersionConflict.FromString(trailer))
    assert (conflict.expected, conflict.actual) == (0, 1)
    assert conflict.current.data == {"n": 1}
    assert conflict.current.version == standing.version


async def test_a_record_too_large_for_a_trailer_is_left_out(memory: Any) -> None:
    await memory.Save(save("a", x="y" * 60_000))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Save(save("a", n=2))
    assert error.value.code() is grpc.StatusCode.ABORTED
    trailer = dict(error.value.trailing_metadata())[CONFLICT_TRAILER]
    conflict = pb.VersionConflict.FromString(trailer)
    assert (conflict.actual, conflict.HasField("current")) == (1, False)


async def test_a_repetition_is_told(memory: Any) -> None:
    request = save("a", n=1)
    request.origin.replica, request.origin.token = "edge-1", "t1"
    first, again = await memory.Save(request), await memory.Save(request)
    assert (first.repeat, again.repeat) == (False, True)
    assert again.record == first.record
    removal = pb.DeleteRequest(id="a", expected_version=1, writer="w")
    removal.origin.replica, removal.origin.token = "edge-1", "t2"
    first, again = await memory.Delete(removal), await memory.Delete(removal)
    assert (first.repeat, again.repeat) == (False, True)
    assert again.record == first.record


async def test_a_batch_is_answered_one_by_one(memory: Any) -> None:
    await memory.Save(save("taken", n=1))
    request = pb.ApplyRequest(
        writes=[
            pb.Write(save=save("a", n=1)),
            pb.Write(),
            pb.Write(save=save("taken")),
            pb.Write(save=pb.SaveRequest(id="b", data=b"{", writer="w")),
            pb.Write(save=pb.SaveRequest(id="b", data=b"{}", writer="w", ttl_ms=-1)),
            pb.Write(delete=pb.DeleteRequest(id="a", expected_version=1, writer="w")),
            pb.Write(delete=pb.DeleteRequest(id="none", expected_version=1, writer="w")),
        ]
    )
    outcomes = (await memory.Apply(request)).outcomes
    invalid = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    missing = grpc.StatusCode.NOT_FOUND.value[0]
    assert [outcome.code for outcome in outcomes] == [0, invalid, 0, invalid, invalid, 0, missing]
    assert "neither a save nor a deletion" in outcomes[1].message
    assert outcomes[2].conflict.current.id == "taken"
    assert [outcome.record.version for outcome in outcomes] == [1, 0, 0, 0, 0, 2, 0]


async def test_a_batch_that_is_too_large_is_refused_whole(memory: Any) -> None:
    request = pb.ApplyRequest(writes=[pb.Write(save=save(f"r/{n}")) for n in range(257)])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Apply(request)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not (await memory.Changes(pb.ChangesRequest())).records


async def test_an_answer_never_grows_past_what_clients_take(memory: Any) -> None:
    large = [pb.Write(save=save(f"r/{n}", x="y" * 60_000)) for n in range(200)]
    for start in range(0, 200, 100):
        done = 0
        while done < 100:
            writes = large[start + done : start + 100]
            done += len((await memory.Apply(pb.ApplyRequest(writes=writes))).outcomes)
    # Small questions with large answers: what stands is brought with each conflict. A channel of
    # gRPC refuses more than 4 MiB, and this one was not told otherwise.
    again = [pb.Write(save=save(f"r/{n}")) for n in range(200)]
    answer = await memory.Apply(pb.ApplyRequest(writes=again))
    assert 1 <= len(answer.outcomes) < 200
    assert all(outcome.conflict.HasField("current") for outcome in answer.outcomes)
    assert (await memory.Load(pb.LoadRequest(id="r/199"))).record.version == 1
    seen: list[str] = []
    page = pb.ChangesResponse(more=True)
    while page.more:
        page = await memory.Changes(pb.ChangesRequest(since=page.cursor, limit=1000))
        assert page.ByteSize() < 700_000
        seen += [record.id for record in page.records]
    assert seen == [f"r/{n}" for n in range(200)]


async def test_a_cursor_that_is_too_old_brings_the_floor_in_a_trailer() -> None:
    async with fake_cloud() as (cloud, channel):
        memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
        for name in ("a", "b"):
            await memory.Save(save(name))
        await memory.Delete(pb.DeleteRequest(id="b", expected_version=1, writer="w"))
        assert isinstance(cloud.store, Compactable)
        await cloud.store.compact(0)
        for call in (
            memory.Changes(pb.ChangesRequest(since=1)),
            memory.Watch(pb.WatchRequest(since=1)).read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert error.value.code() is grpc.StatusCode.OUT_OF_RANGE
            floor = int(dict(error.value.trailing_metadata())[FLOOR_TRAILER])
            assert not (await memory.Changes(pb.ChangesRequest(since=floor))).records


async def test_large_answers_are_compressed_for_those_who_take_it() -> None:
    async with fake_cloud() as (cloud, channel):
        memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
        for n in range(20):
            await memory.Save(save(f"r/{n}", x="y" * 5_000))
        proxy = CountingProxy("127.0.0.1", cloud.port)
        async with proxy.running(), channel_to(proxy.port) as counted:
            stub = context_memory_pb2_grpc.ContextMemoryStub(counted)
            page = await stub.Changes(pb.ChangesRequest())
        assert page.ByteSize() > 100_000
        assert proxy.traffic.down < 20_000


async def test_time_to_live_is_in_milliseconds(memory: Any) -> None:
    request = save("a")
    request.ttl_ms = 60_000
    record = (await memory.Save(request)).record
    assert record.expires_at_ms - record.updated_at_ms == pytest.approx(60_000, abs=1)


@pytest.mark.parametrize(
    "request_",
    [
        save(""),
        save("a/../b"),
        save("x" * 600),
        save("a", -1),
        pb.SaveRequest(id="a", data=b"\xff", writer="w"),
        pb.SaveRequest(id="a", data=b"[1]", writer="w"),
        pb.SaveRequest(id="a", data=b'{"x": NaN}', writer="w"),
        pb.SaveRequest(id="a", data=b"{}", writer=""),
        pb.SaveRequest(id="a", data=b"{}", writer="w", ttl_ms=-5),
        pb.SaveRequest(id="a", data=b'{"a":' * 60_000, writer="w"),
    ],
)
async def test_what_can_never_work_is_an_invalid_argument(
    memory: Any, request_: pb.SaveRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Save(request_)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not (await memory.Changes(pb.ChangesRequest())).records


async def test_changes_page_by_page(memory: Any) -> None:
    for name in ("cam/a", "cam/b", "other/c", "cam/d"):
        await memory.Save(save(name))
    first = await memory.Changes(pb.ChangesRequest(prefix="cam/", limit=2))
    second = await memory.Changes(pb.ChangesRequest(prefix="cam/", since=first.cursor, limit=2))
    assert [[r.id for r in page.records] for page in (first, second)] == [
        ["cam/a", "cam/b"],
        ["cam/d"],
    ]
    assert (first.more, second.more) == (True, False)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Changes(pb.ChangesRequest(limit=5000))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_watch_gives_what_was_and_then_what_comes(memory: Any) -> None:
    await memory.Save(save("cam/a"))
    watch = memory.Watch(pb.WatchRequest(prefix="cam/"))
    first = await watch.read()
    assert first.record.id == "cam/a"
    await memory.Save(save("other/x"))
    await memory.Save(save("cam/b"))
    assert (await watch.read()).record.id == "cam/b"
    await memory.Delete(pb.DeleteRequest(id="cam/a", expected_version=1, writer="w"))
    last = await watch.read()
    assert (last.record.id, last.record.deleted) == ("cam/a", True)
    watch.cancel()
    resumed = memory.Watch(pb.WatchRequest(prefix="cam/", since=first.cursor))
    assert [(await resumed.read()).record.id for _ in range(2)] == ["cam/b", "cam/a"]
    resumed.cancel()


async def test_watch_sees_what_another_process_wrote() -> None:
    async with fake_cloud() as (cloud, channel):
        memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
        await memory.Save(save("a"))
        watch = memory.Watch(pb.WatchRequest())
        await watch.read()
        # Around the servicer, as another process would: nobody rings the bell.
        await cloud.store.save("b", {}, 0, writer="other")
        assert (await watch.read()).record.id == "b"
        watch.cancel()


class CountedStore:
    """A store that counts how often it is asked for changes."""

    def __init__(self, store: ContextStore) -> None:
        self._store = store
        self.pages: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        self.pages.append(prefix)
        return await self._store.changes(prefix, since, limit)


@asynccontextmanager
async def serving(store: Any, **options: Any) -> AsyncIterator[Any]:
    """The servicer alone, over a store of the test; yields a stub."""
    boundary = Boundary(RpcMetrics(CollectorRegistry()), SystemClock(), 30.0)
    server = grpc.aio.server()
    servicer = ContextMemoryServicer(store, boundary, **options)
    context_memory_pb2_grpc.add_ContextMemoryServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        # Windows that stay small, so that what waits in gRPC is known.
        fixed = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=fixed) as channel:
            yield context_memory_pb2_grpc.ContextMemoryStub(channel)
    finally:
        boundary.drain()
        await server.stop(10)


@pytest.fixture
async def counted() -> AsyncIterator[CountedStore]:
    store = await SqliteStore.open(":memory:")
    yield CountedStore(store)
    await store.close()


async def test_a_write_wakes_only_those_whom_it_concerns(counted: CountedStore) -> None:
    async with serving(counted, reread_s=3600) as memory:
        prefixes = ("a/cam1/", "a/cam2/", "a/", "a", "b/", "")
        watches = {prefix: memory.Watch(pb.WatchRequest(prefix=prefix)) for prefix in prefixes}
        await eventually(lambda: len(counted.pages) == len(prefixes))
        counted.pages.clear()
        await memory.Save(save("a/cam1/x/1"))
        concerned = ("a/cam1/", "a/", "a", "")
        for prefix in concerned:
            assert (await watches[prefix].read()).record.id == "a/cam1/x/1"
        request = pb.ApplyRequest(writes=[pb.Write(save=save("b/cam/x/1"))])
        await memory.Apply(request)
        assert (await watches["b/"].read()).record.id == "b/cam/x/1"
        assert (await watches[""].read()).record.id == "b/cam/x/1"
        assert sorted(counted.pages) == sorted([*concerned, "b/", ""])
        for watch in watches.values():
            watch.cancel()


async def test_what_failed_or_was_a_repetition_wakes_nobody(counted: CountedStore) -> None:
    async with serving(counted, reread_s=3600) as memory:
        request = save("a")
        request.origin.replica, request.origin.token = "edge-1", "t1"
        await memory.Save(request)
        watch = memory.Watch(pb.WatchRequest())
        await watch.read()
        counted.pages.clear()
        await memory.Save(request)
        with pytest.raises(grpc.aio.AioRpcError):
            await memory.Save(save("a"))
        await memory.Apply(pb.ApplyRequest(writes=[pb.Write(save=request), pb.Write()]))
        await memory.Save(save("b"))
        assert (await watch.read()).record.id == "b"
        assert len(counted.pages) == 1
        watch.cancel()


async def test_watches_are_bounded_and_places_become_free(counted: CountedStore) -> None:
    async with serving(counted, max_watches=2) as memory:
        await memory.Save(save("a"))
        watches = [memory.Watch(pb.WatchRequest()) for _ in range(2)]
        for watch in watches:
            await watch.read()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await memory.Watch(pb.WatchRequest()).read()
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()

        async def let_in() -> bool:
            try:
                return (await memory.Watch(pb.WatchRequest()).read()).record.id == "a"
            except grpc.aio.AioRpcError as refused:
                assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017
                return False

        with anyio.fail_after(10):
            while not await let_in():  # noqa: ASYNC110 - only asking tells
                await anyio.sleep(0.01)


async def test_a_silent_watch_is_told_its_cursor(counted: CountedStore) -> None:
    async with serving(counted, reread_s=0.01, heartbeat_s=0) as memory:
        watch = memory.Watch(pb.WatchRequest(prefix="quiet/"))
        other = (await memory.Save(save("busy/cam/x/1"))).record
        told = await watch.read()
        assert (told.cursor, told.HasField("record")) == (other.change, False)
        mine = (await memory.Save(save("quiet/cam/x/1"))).record
        told = await watch.read()
        assert (told.cursor, told.record) == (mine.change, mine)
        watch.cancel()


async def test_who_reads_slowly_costs_no_memory(counted: CountedStore) -> None:
    for n in range(200):
        await counted.save(f"r/{n}", {"x": "y" * 60_000}, 0, writer="w")
    async with serving(counted, reread_s=3600) as memory:
        watch = memory.Watch(pb.WatchRequest())
        assert (await watch.read()).record.id == "r/0"
        # Other calls are served meanwhile: the watch waits for its reader, not for the store.
        for n in range(20):
            await memory.Save(save(f"meanwhile/{n}"))
        # A page holds half a megabyte; there are some twenty in all.
        assert len(counted.pages) <= 3
        seen = [(await watch.read()).record.id for _ in range(199 + 20)]
        assert seen == [*(f"r/{n}" for n in range(1, 200)), *(f"meanwhile/{n}" for n in range(20))]
        watch.cancel()


async def test_a_watch_gets_past_the_floor_and_resumes_within(counted: CountedStore) -> None:
    for n in range(10):
        await counted.save(f"r/{n}", {}, 0, writer="w")
    await counted.save("dead", {}, 0, writer="w")
    await counted.delete("dead", 1, writer="w")
    await counted.compact(0)
    async with serving(counted) as memory:
        cursor, seen = 0, []
        for n in range(10):
            watch = memory.Watch(pb.WatchRequest(since=cursor))
            told = await watch.read()
            seen.append(told.record.id)
            cursor = told.cursor
            watch.cancel()
            # In the middle of the first page, the cursor says that it is of a full listing.
            assert (cursor >= LISTING) == (n < 9)
        assert seen == [f"r/{n}" for n in range(10)]


async def test_draining_ends_a_watch_at_once() -> None:
    async with AsyncExitStack() as client:
        async with running_cloud(
            settings(server={"port": 0, "drain_timeout_s": 600}),
            load=lambda _: [Loaded(FakeDetector())],
        ) as cloud:
            channel = await client.enter_async_context(channel_to(cloud.port))
            memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
            await memory.Save(save("a"))
            watch = memory.Watch(pb.WatchRequest())
            await watch.read()
        # Ten minutes of drain were allowed; the test's own time limit says they were not used.
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await watch.read()
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_store_that_failed_is_unavailable_and_tells_no_details() -> None:
    async with fake_cloud() as (cloud, channel):
        memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
        await cloud.store.close()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await memory.Load(pb.LoadRequest(id="a"))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "store is not available" in (error.value.details() or "")
