"""Hostile calls to the context memory: each gets a clear status, and nothing is changed."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from support.cloud import channel_to, fake_cloud

from secondlook.cloud.service import RunningCloud
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc
from secondlook.shared.memory.record import MAX_DATA_BYTES, MAX_DEPTH

pytestmark = pytest.mark.anyio

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SERVICE = "/secondlook.rpc.v1.ContextMemory"
STANDING = "site/cam/x/standing"

IDS = {
    "empty": "",
    "10 kB": "x" * 10_000,
    "10 kB of segments": "a/" * 5_000,
    "one byte too long": "x" * 513,
    "parent": "../etc/passwd",
    "inner parent": "site/../other/x",
    "dot": "site/./x",
    "absolute": "/site/cam/x",
    "double slash": "site//x",
    "trailing slash": "site/cam/",
    "newline": "site/cam\n/x",
    "carriage return": "site/cam\r\nx-header: 1",
    "nul": "site/cam\x00/x",
    "escape": "site/\x1b[2J/x",
    "right to left": "site/\u202ecam/x",
    "line separator": "site/cam\u2028/x",
    "byte order mark": "\ufeffsite/cam/x",
}

DATA = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"x": "\xff"}',
    "UTF-16": '{"x": 1}'.encode("utf-16"),
    "an array": b"[1]",
    "text": b'"x"',
    "null": b"null",
    "NaN": b'{"x": NaN}',
    "Infinity": b'{"x": [-Infinity]}',
    "a float past the end": b'{"x": 1e999}',
    "5000 digits": b'{"x": ' + b"9" * 5_000 + b"}",
    "a lone surrogate": b'{"x": "\\ud800"}',
    "a lone surrogate as key": b'{"\\udc00": 1}',
    "too deep": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "far too deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "60000 open brackets": b"[" * 60_000,
    "one byte too large": json.dumps({"x": "y" * (MAX_DATA_BYTES - 8)}).encode(),
    "a megabyte": json.dumps({"x": "y" * 2**20}).encode(),
    "two documents": b"{}{}",
    "a document and a nul": b"{}\x00",
    "comments": b"{} // x",
    "single quotes": b"{'x': 1}",
    "small, until it is written": b'{"x": [' + b"1e15, " * 10_000 + b"1]}",
    "surrogates as bytes": b'{"x": "\xed\xa0\x80"}',
}

FIELDS: dict[str, dict[str, Any]] = {
    "negative version": {"expected_version": -1},
    "least version": {"expected_version": -(2**63)},
    "greatest version": {"expected_version": 2**63 - 1},
    "no writer": {"writer": ""},
    "huge writer": {"writer": "w" * 10_000},
    "writer of control characters": {"writer": "a\r\nb"},
    "negative time to live": {"ttl_ms": -1},
    "eternal time to live": {"ttl_ms": 2**63 - 1},
    "origin without replica": {"origin": pb.Origin(token="t")},
    "origin without token": {"origin": pb.Origin(replica="r")},
    "empty origin": {"origin": pb.Origin()},
    "huge origin": {"origin": pb.Origin(replica="r" * 10_000, token="t")},
    "origin with a slash": {"origin": pb.Origin(replica="../r", token="t")},
    "origin with a nul": {"origin": pb.Origin(replica="r", token="t\x00")},
    "origin beyond ASCII": {"origin": pb.Origin(replica="ré", token="t")},
}


class Victim:
    """A service that holds one record."""

    def __init__(self, cloud: RunningCloud, channel: grpc.aio.Channel) -> None:
        self.cloud = cloud
        self.channel = channel
        self.memory: Any = context_memory_pb2_grpc.ContextMemoryStub(channel)

    async def unharmed(self) -> None:
        """Nothing was changed, and the service still serves."""
        page = await self.memory.Changes(pb.ChangesRequest(limit=1000))
        assert [(record.id, record.version) for record in page.records] == [(STANDING, 1)]
        saved = await self.memory.Save(save(STANDING, expected_version=1))
        assert saved.record.version == 2

    async def refused(self, call: Any, code: grpc.StatusCode = INVALID) -> str:
        """The call fails with that status; returns its text."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call
        details = error.value.details() or ""
        assert error.value.code() is code, details
        assert len(details) < 4_000
        assert "Traceback" not in details
        return details


def save(record_id: str = "site/cam/x/new", **fields: Any) -> pb.SaveRequest:
    return pb.SaveRequest(**{"id": record_id, "data": b"{}", "writer": "w", **fields})


@pytest.fixture
async def victim() -> AsyncIterator[Victim]:
    async with fake_cloud() as (cloud, channel):
        victim = Victim(cloud, channel)
        await victim.memory.Save(save(STANDING))
        yield victim


@pytest.mark.parametrize("name", IDS)
async def test_hostile_ids(victim: Victim, name: str) -> None:
    record_id = IDS[name]
    memory = victim.memory
    await victim.refused(memory.Save(save(record_id)))
    await victim.refused(memory.Load(pb.LoadRequest(id=record_id)))
    removal = pb.DeleteRequest(id=record_id, expected_version=1, writer="w")
    await victim.refused(memory.Delete(removal))
    writes = [pb.Write(save=save(record_id)), pb.Write(delete=removal)]
    answer = await memory.Apply(pb.ApplyRequest(writes=writes))
    assert [outcome.code for outcome in answer.outcomes] == [INVALID.value[0]] * 2
    await victim.unharmed()


@pytest.mark.parametrize("name", DATA)
async def test_hostile_data(victim: Victim, name: str) -> None:
    details = await victim.refused(victim.memory.Save(save(data=DATA[name])))
    assert "data" in details
    request = pb.ApplyRequest(writes=[pb.Write(save=save(data=DATA[name]))])
    (outcome,) = (await victim.memory.Apply(request)).outcomes
    assert (outcome.code, outcome.HasField("record")) == (INVALID.value[0], False)
    await victim.unharmed()


@pytest.mark.parametrize("name", FIELDS)
async def test_hostile_fields(victim: Victim, name: str) -> None:
    fields = FIELDS[name]
    details = await victim.refused(victim.memory.Save(save(**fields)))
    assert next(iter(fields)).removesuffix("_ms") in details
    if "ttl_ms" not in fields:
        removal = pb.DeleteRequest(
            **{"id": STANDING, "expected_version": 1, "writer": "w", **fields}
        )
        await victim.refused(victim.memory.Delete(removal))
    await victim.unharmed()


async def test_the_last_of_two_equal_keys_counts_for_all(victim: Victim) -> None:
    # JSON leaves it open; what is stored is what is answered, so that no two readers differ.
    saved = await victim.memory.Save(save("a", data=b'{"x": 1, "x": 2}'))
    assert saved.record.data == b'{"x":2}'
    assert (await victim.memory.Load(pb.LoadRequest(id="a"))).record.data == b'{"x":2}'


async def test_integers_beyond_64_bits_come_back_whole(victim: Victim) -> None:
    data = b'{"x":' + b"9" * 1_000 + b"}"
    assert (await victim.memory.Save(save("a", data=data))).record.data == data


@pytest.mark.parametrize(
    "request_",
    [
        pb.ChangesRequest(since=-1),
        pb.ChangesRequest(since=-(2**63)),
        pb.ChangesRequest(limit=1001),
        pb.ChangesRequest(limit=2**32 - 1),
        pb.ChangesRequest(prefix="x" * 10_000),
        pb.ChangesRequest(prefix="a\nb"),
        pb.ChangesRequest(prefix="\x00"),
    ],
    ids=str,
)
async def test_hostile_pages(victim: Victim, request_: pb.ChangesRequest) -> None:
    await victim.refused(victim.memory.Changes(request_))
    if not request_.limit:
        watch = pb.WatchRequest(prefix=request_.prefix, since=request_.since)
        await victim.refused(victim.memory.Watch(watch).read())
    await victim.unharmed()


async def test_a_cursor_from_the_future_shows_nothing(victim: Victim) -> None:
    for since in (2**62 - 1, 2**62 + 2**61, 2**63 - 1):
        page = await victim.memory.Changes(pb.ChangesRequest(since=since))
        assert not page.records
    await victim.unharmed()


async def test_too_many_writes_in_a_batch(victim: Victim) -> None:
    for count in (257, 100_000):
        request = pb.ApplyRequest(writes=[pb.Write()] * count)
        assert "256" in await victim.refused(victim.memory.Apply(request))
    await victim.unharmed()


@pytest.mark.parametrize("method", ["Save", "Load", "Delete", "Apply", "Changes", "Watch"])
async def test_bytes_that_are_no_message(victim: Victim, method: str) -> None:
    golden = save("site/cam/x/new", expected_version=1, origin=pb.Origin(replica="r", token="t"))
    whole = golden.SerializeToString()
    unary, stream = victim.channel.unary_unary, victim.channel.unary_stream
    bodies = [b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", whole[:-1]]
    for body in bodies if method == "Save" else bodies[:2]:
        if method == "Watch":
            call: Any = stream(f"{SERVICE}/{method}")(body).read()
        else:
            call = unary(f"{SERVICE}/{method}")(body)
        assert "not a message" in await victim.refused(call)
    await victim.unharmed()


async def test_messages_over_the_limit() -> None:
    async with fake_cloud(server={"max_message_bytes": 100_000}) as (cloud, channel):
        victim = Victim(cloud, channel)
        await victim.memory.Save(save(STANDING))
        request = save(data=b'{"x":"' + b"y" * 200_000 + b'"}')
        await victim.refused(victim.memory.Save(request), grpc.StatusCode.RESOURCE_EXHAUSTED)
        # What is small on the wire and large behind it is refused before it is large.
        assert len(gzip.compress(request.SerializeToString())) < 2_000
        call = victim.memory.Save(request, compression=grpc.Compression.Gzip)
        await victim.refused(call, grpc.StatusCode.RESOURCE_EXHAUSTED)
        await victim.unharmed()


async def test_a_small_limit_breaks_no_answer() -> None:
    async with fake_cloud(server={"max_message_bytes": 100_000}) as (_, channel):
        memory: Any = context_memory_pb2_grpc.ContextMemoryStub(channel)
        for n in range(5):
            await memory.Save(save(f"r/{n}", data=b'{"x":"' + b"y" * 60_000 + b'"}'))
        page = await memory.Changes(pb.ChangesRequest())
        assert [record.id for record in page.records] == [f"r/{n}" for n in range(5)]


@pytest.mark.parametrize(
    "metadata",
    [
        (("grpc-encoding", "nonsense"),),
        (("secondlook-conflict-bin", b"\xff"),),
        (("x" * 100, "y" * 4_000),),
        (("authorization", "Bearer admin"),),
    ],
)
async def test_hostile_metadata_changes_nothing(victim: Victim, metadata: Any) -> None:
    try:
        await victim.memory.Load(pb.LoadRequest(id=STANDING), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        assert error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL)  # noqa: PT017 - either will do
    await victim.unharmed()


async def test_a_thousand_watches_that_are_dropped_leave_nothing(victim: Victim) -> None:
    for _ in range(20):
        async with channel_to(victim.cloud.port) as channel:
            memory: Any = context_memory_pb2_grpc.ContextMemoryStub(channel)
            watches = [memory.Watch(pb.WatchRequest(prefix="site/")) for _ in range(50)]
            for watch in watches:
                assert (await watch.read()).record.id == STANDING
    await victim.unharmed()
