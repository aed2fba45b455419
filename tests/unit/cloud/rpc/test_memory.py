"""The `ContextMemory` service over a real loopback connection and a SQLite store in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from support.cloud import FakeDetector, channel_to, fake_cloud, settings

from secondlook.cloud.engine.local import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc
from secondlook.shared.wire.memory import CONFLICT_TRAILER, conflict_from_proto

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
