"""`RemoteStore` against a service that says what the test wants, also nonsense.

That it is a `ContextStore` like the others is shown in `tests/conformance`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import grpc
import grpc.aio
import pytest

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc
from secondlook.shared.errors import (
    CursorTooOld,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionDenied,
    SecondlookError,
    StoreError,
    Unavailable,
    VersionConflict,
)
from secondlook.shared.memory import ContextStore, Write
from secondlook.shared.memory.remote import RemoteStore
from secondlook.shared.memory.remote_errors import error_of
from secondlook.shared.wire.memory import FLOOR_TRAILER
from secondlook.shared.wire.status import STORE_FAILED

pytestmark = pytest.mark.anyio

METHODS = ("Save", "Load", "Delete", "Apply", "Changes")


class Service(context_memory_pb2_grpc.ContextMemoryServicer):
    """Answers every call with what was put in, or fails as told."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.trailer: tuple[tuple[str, str], ...] = ()
        self.asked: list[Any] = []
        self.hold = anyio.Event()
        self.hold.set()
        self.watched: list[list[pb.WatchResponse] | grpc.StatusCode] = []

    async def _call(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        await self.hold.wait()
        if self.status is not None:
            await context.abort(*self.status, self.trailer)
        return self.answer(request) if callable(self.answer) else self.answer

    Save = Load = Delete = Apply = Changes = _call  # type: ignore[assignment]

    async def Watch(self, request: Any, context: Any) -> None:  # type: ignore[override]
        self.asked.append(request)
        if not self.watched:
            await anyio.sleep_forever()
        told = self.watched.pop(0)
        if isinstance(told, grpc.StatusCode):
            await context.abort(told, "as the test wants", self.trailer)
            return
        for message in told:
            await context.write(message)


@asynccontextmanager
async def serving(handler: Any = None) -> AsyncIterator[tuple[Service, int]]:
    service = Service()
    server = grpc.aio.server()
    if handler is not None:
        server.add_generic_rpc_handlers((handler,))
    else:
        context_memory_pb2_grpc.add_ContextMemoryServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield service, port
    finally:
        service.hold.set()
        # With time to end: what gRPC tells of a call must not come after the test's event loop.
        await server.stop(10)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Service, RemoteStore]]:
    async with serving() as (service, port):
        store = await RemoteStore.open(f"grpc://127.0.0.1:{port}")
        yield service, store
        await store.close()


def record(record_id: str = "a", version: int = 1, **fields: Any) -> pb.Record:
    given = {"data": b"{}", "change": version, "writer": "w", "updated_at_ms": 1, **fields}
    return pb.Record(id=record_id, version=version, **given)


Verb = Callable[[RemoteStore], Awaitable[object]]
READS: dict[str, Verb] = {
    "load": lambda store: store.load("a"),
    "changes": lambda store: store.changes("", 5),
    "ping": lambda store: store.ping(),
}
WRITES: dict[str, Verb] = {
    "save": lambda store: store.save("a", {}, 0, writer="w"),
    "delete": lambda store: store.delete("a", 1, writer="w"),
    "apply": lambda store: store.apply([Write("a", {}, 0, "w")]),
}


@pytest.mark.parametrize("verb", READS)
@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "draining", Unavailable),
        (grpc.StatusCode.UNAVAILABLE, STORE_FAILED, StoreError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "late", DeadlineExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "full", Overloaded),
        (grpc.StatusCode.INVALID_ARGUMENT, "bad", InvalidInput),
        (grpc.StatusCode.UNKNOWN, "odd", Unavailable),
        (grpc.StatusCode.CANCELLED, "gone", Unavailable),
        (grpc.StatusCode.INTERNAL, "incident", SecondlookError),
    ],
)
async def test_reads_that_fail(
    pair: tuple[Service, RemoteStore],
    verb: str,
    code: grpc.StatusCode,
    details: str,
    kind: type[SecondlookError],
) -> None:
    service, store = pair
    service.status = (code, details)
    with pytest.raises(kind, match=details) as error:
        await READS[verb](store)
    assert type(error.value) is kind
    assert len(service.asked) == 1


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, StoreError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, StoreError),
        (grpc.StatusCode.INTERNAL, StoreError),
        (grpc.StatusCode.UNKNOWN, StoreError),
        (grpc.StatusCode.CANCELLED, StoreError),
        (grpc.StatusCode.ABORTED, StoreError),
        (grpc.StatusCode.DATA_LOSS, StoreError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Overloaded),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.UNAUTHENTICATED, PermissionDenied),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
    ],
)
async def test_writes_that_fail_are_sent_once_and_say_what_is_known(
    pair: tuple[Service, RemoteStore],
    verb: str,
    code: grpc.StatusCode,
    kind: type[SecondlookError],
) -> None:
    service, store = pair
    service.status = (code, "as the test wants")
    with pytest.raises(kind) as error:
        await WRITES[verb](store)
    assert type(error.value) is kind
    assert ("unknown" in str(error.value)) == (kind is StoreError)
    assert len(service.asked) == 1


@pytest.mark.parametrize("verb", [*READS, *WRITES])
async def test_where_nobody_listens_nothing_was_written(verb: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = await RemoteStore.open(f"grpc://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="cannot be reached"):
            await {**READS, **WRITES}[verb](store)
        await store.close()


@pytest.mark.parametrize("verb", [*READS, *WRITES])
async def test_a_service_that_is_silent(pair: tuple[Service, RemoteStore], verb: str) -> None:
    service, _ = pair
    service.hold = anyio.Event()
    port_store = RemoteStore(pair[1]._channel, timeout_s=0.05)
    with pytest.raises(DeadlineExceeded if verb in READS else StoreError):
        await {**READS, **WRITES}[verb](port_store)


@pytest.mark.parametrize(
    ("trailer", "floor"),
    [
        (((FLOOR_TRAILER, "9"),), 9),
        ((), 6),
        (((FLOOR_TRAILER, "-3"),), 6),
        (((FLOOR_TRAILER, "9" * 400),), 6),
        (((FLOOR_TRAILER, "nine"),), 6),
    ],
)
async def test_a_cursor_that_is_too_old(
    pair: tuple[Service, RemoteStore], trailer: tuple[tuple[str, str], ...], floor: int
) -> None:
    service, store = pair
    service.status = (grpc.StatusCode.OUT_OF_RANGE, "too old")
    service.trailer = trailer
    with pytest.raises(CursorTooOld) as error:
        await store.changes("", 5)
    assert (error.value.since, error.value.floor) == (5, floor)


def outcomes(*found: pb.Outcome) -> pb.ApplyResponse:
    return pb.ApplyResponse(outcomes=found)


LIES: dict[str, tuple[str, Any]] = {
    "no record": ("load", pb.LoadResponse()),
    "another record": ("load", pb.LoadResponse(record=record("b"))),
    "version 0": ("load", pb.LoadResponse(record=record(version=0, change=1))),
    "negative version": ("load", pb.LoadResponse(record=record(version=-1, change=1))),
    "no change": ("load", pb.LoadResponse(record=record(change=0))),
    "no JSON": ("load", pb.LoadResponse(record=record(data=b"{"))),
    "no object": ("load", pb.LoadResponse(record=record(data=b"[]"))),
    "NaN": ("load", pb.LoadResponse(record=record(data=b'{"x": NaN}'))),
    "too large": ("load", pb.LoadResponse(record=record(data=b" " * 70_000 + b"{}"))),
    "too deep": ("load", pb.LoadResponse(record=record(data=b'{"a":' * 5000 + b"1" + b"}" * 5000))),
    "no outcome": ("save", outcomes()),
    "two outcomes": ("save", outcomes(*[pb.Outcome(record=record())] * 2)),
    "an empty outcome": ("save", outcomes(pb.Outcome())),
    "the outcome of another": ("save", outcomes(pb.Outcome(record=record("b")))),
    "the conflict of another": (
        "save",
        outcomes(pb.Outcome(conflict=pb.VersionConflict(id="b", actual=0))),
    ),
    "a conflict without record": (
        "save",
        outcomes(pb.Outcome(conflict=pb.VersionConflict(id="a", actual=3))),
    ),
    "a record of another page": (
        "changes",
        pb.ChangesResponse(records=[record(change=3)], cursor=9),
    ),
    "records in disorder": (
        "changes",
        pb.ChangesResponse(records=[record("a", change=8), record("b", change=7)], cursor=9),
    ),
    "a record twice": (
        "changes",
        pb.ChangesResponse(records=[record("a", change=7), record("b", change=7)], cursor=9),
    ),
    "a cursor before the records": (
        "changes",
        pb.ChangesResponse(records=[record(change=8)], cursor=7),
    ),
    "a cursor that goes back": ("changes", pb.ChangesResponse(cursor=4)),
    "more for ever": ("changes", pb.ChangesResponse(cursor=5, more=True)),
    "too many records": (
        "changes",
        pb.ChangesResponse(records=[record(f"r{n}", change=6 + n) for n in range(101)], cursor=200),
    ),
}


@pytest.mark.parametrize("name", LIES)
async def test_what_the_service_says_is_not_believed_blindly(
    pair: tuple[Service, RemoteStore], name: str
) -> None:
    service, store = pair
    verb, service.answer = LIES[name]
    with pytest.raises(StoreError) as error:
        await {**READS, **WRITES}[verb](store)
    assert len(str(error.value)) < 1000


async def test_a_record_outside_the_prefix_is_not_believed(
    pair: tuple[Service, RemoteStore],
) -> None:
    service, store = pair
    service.answer = pb.ChangesResponse(records=[record("site/b/x")], cursor=1)
    with pytest.raises(StoreError, match="not asked for"):
        await store.changes("site/a/")


@pytest.mark.parametrize("verb", [*READS, *WRITES])
async def test_bytes_that_are_no_message(verb: str) -> None:
    async def garbage(_request: bytes, _context: Any) -> bytes:
        return b"\xff" * 50

    handler = grpc.method_handlers_generic_handler(
        "secondlook.rpc.v1.ContextMemory",
        {name: grpc.unary_unary_rpc_method_handler(garbage) for name in METHODS},
    )
    async with serving(handler) as (_, port):
        store = await RemoteStore.open(f"grpc://127.0.0.1:{port}")
        with pytest.raises(StoreError, match="no message"):
            await {**READS, **WRITES}[verb](store)
        await store.close()


async def test_a_conflict_where_nothing_stands(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.answer = outcomes(pb.Outcome(conflict=pb.VersionConflict(id="a", expected=0, actual=0)))
    with pytest.raises(VersionConflict) as error:
        await store.save("a", {}, 0, writer="w")
    assert error.value.current is None


async def test_errors_of_single_writes_keep_their_kind(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    kinds = {
        grpc.StatusCode.NOT_FOUND: NotFound,
        grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
        grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    }
    service.answer = outcomes(
        *(pb.Outcome(code=code.value[0], message="m") for code in kinds), pb.Outcome(code=999)
    )
    found = await store.apply([Write("a", {}, 0, "w")] * 5)
    assert [type(outcome.error) for outcome in found] == [*kinds.values(), SecondlookError]


async def test_the_rest_of_a_batch_is_sent_again(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.answer = lambda request: outcomes(
        *(pb.Outcome(record=record(write.save.id)) for write in request.writes[:2])
    )
    writes = [Write(f"r/{n}", {}, 0, "w") for n in range(5)]
    found = await store.apply([*writes[:3], Write("..", {}, 0, "w"), *writes[3:]])
    assert [outcome.record and outcome.record.id for outcome in found] == [
        *("r/0", "r/1", "r/2", None, "r/3", "r/4")
    ]
    assert isinstance(found[3].error, InvalidInput)
    assert [len(request.writes) for request in service.asked] == [5, 3, 1]


async def test_a_batch_of_many_bytes_travels_in_parts(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.answer = lambda request: outcomes(
        *(pb.Outcome(record=record(write.save.id)) for write in request.writes)
    )
    found = await store.apply([Write(f"r/{n}", {"x": "y" * 60_000}, 0, "w") for n in range(30)])
    assert [outcome.record and outcome.record.id for outcome in found] == [
        f"r/{n}" for n in range(30)
    ]
    assert len(service.asked) > 2
    assert all(request.ByteSize() <= 512 * 1024 for request in service.asked)


async def test_bytes_are_counted(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.answer = pb.LoadResponse(record=record())
    await store.load("a")
    await store.load("a")
    sent = pb.LoadRequest(id="a").ByteSize()
    assert (store.traffic.requests, store.traffic.sent_bytes) == (2, 2 * sent)
    assert store.traffic.received_bytes == 2 * service.answer.ByteSize()


async def test_a_channel_that_was_lent_stays_open(pair: tuple[Service, RemoteStore]) -> None:
    service, owner = pair
    service.answer = pb.LoadResponse(record=record())
    lent = RemoteStore(owner._channel)
    await lent.close()
    with pytest.raises(StoreError, match="closed"):
        await lent.load("a")
    assert (await owner.load("a")).id == "a"


async def test_closing_ends_calls_under_way_with_an_error(
    pair: tuple[Service, RemoteStore],
) -> None:
    service, store = pair
    service.hold = anyio.Event()
    calls = [asyncio.ensure_future(store.load("a")) for _ in range(3)]
    with anyio.fail_after(10):
        while len(service.asked) < 3:  # noqa: ASYNC110 - the service has no event for it
            await anyio.sleep(0.002)
    await store.close()
    for done in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(done, StoreError)


async def test_a_channel_that_its_owner_closed(pair: tuple[Service, RemoteStore]) -> None:
    _, owner = pair
    lent = RemoteStore(owner._channel)
    await owner.close()
    with pytest.raises(StoreError, match="closed"):
        await lent.save("a", {}, 0, writer="w")


async def test_cancelling_a_call_cancels_it(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.hold = anyio.Event()
    with anyio.move_on_after(0.05) as scope:
        await store.save("a", {}, 0, writer="w")
    assert scope.cancelled_caught
    service.hold.set()
    service.answer = pb.LoadResponse(record=record())
    assert (await store.load("a")).id == "a"


def told(record_id: str, change: int, cursor: int | None = None) -> pb.WatchResponse:
    return pb.WatchResponse(
        record=record(record_id, change=change), cursor=change if cursor is None else cursor
    )


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondlook.shared.memory.remote._BACKOFF_S", 0.0)


@pytest.mark.usefixtures("_soon")
async def test_a_watch_goes_on_from_its_cursor(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.watched = [
        [told("a", 3), told("b", 5), pb.WatchResponse(cursor=20)],
        grpc.StatusCode.UNAVAILABLE,
        [],
        grpc.StatusCode.INTERNAL,
        [told("a", 21)],
        [told("c", 30, cursor=2**62 + 30)],
    ]
    watch = store.watch("", 2)
    seen = [(await anext(watch)).id for _ in range(4)]
    await watch.aclose()
    assert seen == ["a", "b", "a", "c"]
    assert [request.since for request in service.asked] == [2, 20, 20, 20, 20, 21]
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, CursorTooOld),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
    ],
)
async def test_a_watch_ends_where_going_on_is_vain(
    pair: tuple[Service, RemoteStore], code: grpc.StatusCode, kind: type[SecondlookError]
) -> None:
    service, store = pair
    service.watched = [[told("a", 3)], code]
    watch = store.watch()
    await anext(watch)
    with pytest.raises(kind):
        await anext(watch)


@pytest.mark.parametrize(
    "lie", [told("b/x", 9), told("a/x", 5), told("a/x", 9, cursor=3), told("..", 9)]
)
async def test_a_watch_is_not_believed_blindly(
    pair: tuple[Service, RemoteStore], lie: pb.WatchResponse
) -> None:
    service, store = pair
    service.watched = [[lie]]
    with pytest.raises(StoreError, match="nonsense"):
        await anext(store.watch("a/", 5))


async def test_a_watch_of_a_closed_store_ends(pair: tuple[Service, RemoteStore]) -> None:
    service, store = pair
    service.watched = [[told("a", 3)]]
    watch = store.watch()
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await anyio.lowlevel.checkpoint()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await waiting


async def test_a_bad_prefix_is_told_before_anything_is_sent(
    pair: tuple[Service, RemoteStore],
) -> None:
    service, store = pair
    with pytest.raises(InvalidInput):
        await anext(store.watch("\n"))
    assert service.asked == []


def test_it_is_a_context_store() -> None:
    assert issubclass(RemoteStore, ContextStore)


def test_messages_that_are_too_large_are_no_queue() -> None:
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        details="Received message larger than max (9000000 vs. 4194304)",
    )
    assert type(error_of(error, 0)) is StoreError
