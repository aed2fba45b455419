"""The servicer of `ContextMemory`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio

from secondlook.cloud.access import Caller
from secondlook.cloud.rpc.bells import Bells, Watcher
from secondlook.cloud.rpc.boundary import Boundary, Context
from secondlook.cloud.rpc.pages import bounded_page, cursor_at
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc as pb_grpc
from secondlook.shared.errors import InvalidInput, PermissionDenied
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import Outcome, Record, Write
from secondlook.shared.memory.rules import MAX_LIMIT, check_batch, check_page
from secondlook.shared.wire.memory import (
    delete_from_proto,
    outcome_to_proto,
    record_to_proto,
    save_from_proto,
    write_from_proto,
)

DEFAULT_LIMIT = 100
REREAD_S = 1.0
"""How often a watch looks for what other processes wrote; what this one wrote is told at once."""
HEARTBEAT_S = 30.0
"""How often a watch is told its cursor while nothing that concerns it is written."""
MAX_WATCHES = 256
APPLY_AT_ONCE = 32
"""Writes of a batch that go to the store at once: their answers have at most some 2 MB, since each
may bring a record that stands."""
MAX_ANSWER_BYTES = 1024 * 1024
"""With this much answered, the rest of a batch is left for the next call: clients of gRPC refuse
messages above 4 MiB unless told otherwise."""
WORTH_COMPRESSING = 1024


class ContextMemoryServicer(pb_grpc.ContextMemoryServicer):
    """Converts, checks who asks, and asks the store.

    Args:
        store: the context memory of record.
        boundary: what every call has in common.
        max_watches: most watches that are open at once.
        reread_s: how often a watch looks for what other processes wrote.
        heartbeat_s: how often a silent watch is told its cursor.
    """

    def __init__(
        self,
        store: ContextStore,
        boundary: Boundary,
        *,
        max_watches: int = MAX_WATCHES,
        reread_s: float = REREAD_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._store = store
        self._boundary = boundary
        self._reread_s = reread_s
        self._heartbeat_s = heartbeat_s
        self._bells = Bells(max_watches)

    async def Save(self, request: pb.SaveRequest, context: Context) -> pb.SaveResponse:
        """Compare-and-set."""

        async def work() -> pb.SaveResponse:
            caller = self._boundary.caller(context)
            record, repeat = await self._write(caller, save_from_proto(request))
            return pb.SaveResponse(record=record_to_proto(record), repeat=repeat)

        return await self._boundary.call("Save", context, work, record=request.id[:512])

    async def Load(self, request: pb.LoadRequest, context: Context) -> pb.LoadResponse:
        """The record that stands."""

        async def work() -> pb.LoadResponse:
            self._boundary.caller(context).check_read(request.id)
            return pb.LoadResponse(record=record_to_proto(await self._store.load(request.id)))

        return await self._boundary.call("Load", context, work, record=request.id[:512])

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.DeleteResponse:
        """Leave a tombstone."""

        async def work() -> pb.DeleteResponse:
            caller = self._boundary.caller(context)
            record, repeat = await self._write(caller, delete_from_proto(request))
            return pb.DeleteResponse(record=record_to_proto(record), repeat=repeat)

        return await self._boundary.call("Delete", context, work, record=request.id[:512])

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        """Many writes in order, each for itself; the end of a batch may be left for the next."""

        async def work() -> pb.ApplyResponse:
            caller = self._boundary.caller(context)
            check_batch(len(request.writes))
            response = pb.ApplyResponse()
            size = 0
            for start in range(0, len(request.writes), APPLY_AT_ONCE):
                some = request.writes[start : start + APPLY_AT_ONCE]
                messages = [
                    outcome_to_proto(outcome) for outcome in await self._apply(caller, some)
                ]
                response.outcomes.extend(messages)
                size += sum(message.ByteSize() for message in messages)
                if size >= MAX_ANSWER_BYTES:
                    break
            await _compress(context, size)
            return response

        return await self._boundary.call("Apply", context, work)

    async def Changes(self, request: pb.ChangesRequest, context: Context) -> pb.ChangesResponse:
        """What changed after a cursor."""

        async def work() -> pb.ChangesResponse:
            self._boundary.caller(context).check_list(request.prefix)
            limit = request.limit or DEFAULT_LIMIT
            response = await bounded_page(self._store, request.prefix, request.since, limit)
            await _compress(context, response.ByteSize())
            return response

        return await self._boundary.call("Changes", context, work)

    async def Watch(  # type: ignore[override]  # grpc.aio also takes a coroutine that writes
        self, request: pb.WatchRequest, context: Context
    ) -> None:
        """What changed after a cursor, then each change; ends when the caller does."""

        async def work() -> None:
            self._boundary.caller(context).check_list(request.prefix)
            check_page(request.prefix, request.since, MAX_LIMIT)
            with self._bells.watcher(request.prefix) as watcher, self._boundary.until_drain():
                await self._tell(request.prefix, request.since, watcher, context)

        await self._boundary.call("Watch", context, work)

    async def _tell(self, prefix: str, cursor: int, watcher: Watcher, context: Context) -> None:
        """Tell what changes, for ever. Holds one page at a time: a slow reader costs no memory."""
        told, told_at_s = cursor, anyio.current_time()
        while True:
            watcher.listen()
            page = await bounded_page(self._store, prefix, cursor, DEFAULT_LIMIT)
            for record in page.records:
                last = record.change == page.records[-1].change
                told = page.cursor if last else cursor_at(record.change, cursor)
                await context.write(pb.WatchResponse(record=record, cursor=told))
            cursor = page.cursor
            now_s = anyio.current_time()
            silent = cursor != told and now_s - told_at_s >= self._heartbeat_s
            if silent:
                # A cursor that stood still would be too old one day, for writes of others.
                await context.write(pb.WatchResponse(cursor=cursor))
                told = cursor
            if silent or page.records:
                told_at_s = now_s
            if not page.more:
                await watcher.wait(self._reread_s)

    async def _write(self, caller: Caller, write: Write) -> tuple[Record, bool]:
        (outcome,) = await self._store.apply([_permitted(caller, write)])
        if outcome.error is not None:
            raise outcome.error
        assert outcome.record is not None
        if not outcome.repeat:
            self._bells.ring(write.id)
        return outcome.record, outcome.repeat

    async def _apply(self, caller: Caller, messages: Iterable[pb.Write]) -> Sequence[Outcome]:
        """The outcome of each; what cannot be asked of the store is refused alone."""
        refusals: list[Outcome | None] = []
        writes: list[Write] = []
        for message in messages:
            try:
                writes.append(_permitted(caller, write_from_proto(message)))
                refusals.append(None)
            except (InvalidInput, PermissionDenied) as error:  # noqa: PERF203 - each fails alone
                refusals.append(Outcome(error=error))
        stored = await self._store.apply(writes) if writes else []
        for write, outcome in zip(writes, stored, strict=True):
            if outcome.record is not None and not outcome.repeat:
                self._bells.ring(write.id)
        answers = iter(stored)
        return [next(answers) if refused is None else refused for refused in refusals]


def _permitted(caller: Caller, write: Write) -> Write:
    """The write, signed with the caller's name.

    Raises:
        PermissionDenied: it may not write that, or not under that name.
    """
    caller.check_write(write.id)
    writer = caller.signed(write.writer)
    if writer == write.writer:
        return write
    return Write(write.id, write.data, write.expected_version, writer, write.ttl_s, write.origin)


async def _compress(context: Context, size: int) -> None:
    """Compress the answer if that is worth it; gRPC does so where the caller takes it.

    By the metadata that asks gRPC for it: `set_compression` has no effect in grpc.aio.
    """
    if size >= WORTH_COMPRESSING:
        await context.send_initial_metadata((("grpc-internal-encoding-request", "gzip"),))
