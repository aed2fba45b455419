"""The servicer of `ContextMemory`."""

from __future__ import annotations

import anyio

from secondlook.cloud.rpc.boundary import Boundary, Context
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc as pb_grpc
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.record import decode
from secondlook.shared.wire.memory import record_to_proto

DEFAULT_LIMIT = 100
REREAD_S = 1.0
"""How often a watch looks for what other processes wrote; what this one wrote is told at once."""


class Bell:
    """Wakes those who watch when something was written in this process."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Something was written."""
        self._rung.set()
        self._rung = anyio.Event()

    def listen(self) -> anyio.Event:
        """Set at the next ring; fetch it before reading, so that nothing falls between."""
        return self._rung


class ContextMemoryServicer(pb_grpc.ContextMemoryServicer):
    """Converts, and asks the store.

    Args:
        store: the context memory of record.
        boundary: what every call has in common.
        reread_s: how often a watch looks for what other processes wrote.
    """

    def __init__(
        self, store: ContextStore, boundary: Boundary, *, reread_s: float = REREAD_S
    ) -> None:
        self._store = store
        self._boundary = boundary
        self._reread_s = reread_s
        self._bell = Bell()

    async def Save(self, request: pb.SaveRequest, context: Context) -> pb.SaveResponse:
        """Compare-and-set."""

        async def work() -> pb.SaveResponse:
            if request.ttl_ms < 0:
                raise InvalidInput(f"ttl_ms is {request.ttl_ms}; 0 or more expected")
            record = await self._store.save(
                request.id,
                decode(request.data),
                request.expected_version,
                writer=request.writer,
                ttl_s=request.ttl_ms / 1000 if request.ttl_ms else None,
            )
            self._bell.ring()
            return pb.SaveResponse(record=record_to_proto(record))

        return await self._boundary.call("Save", context, work, record=request.id[:512])

    async def Load(self, request: pb.LoadRequest, context: Context) -> pb.LoadResponse:
        """The record that stands."""

        async def work() -> pb.LoadResponse:
            return pb.LoadResponse(record=record_to_proto(await self._store.load(request.id)))

        return await self._boundary.call("Load", context, work, record=request.id[:512])

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.DeleteResponse:
        """Leave a tombstone."""

        async def work() -> pb.DeleteResponse:
            record = await self._store.delete(
                request.id, request.expected_version, writer=request.writer
            )
            self._bell.ring()
            return pb.DeleteResponse(record=record_to_proto(record))

        return await self._boundary.call("Delete", context, work, record=request.id[:512])

    async def Changes(self, request: pb.ChangesRequest, context: Context) -> pb.ChangesResponse:
        """What changed after a cursor."""

        async def work() -> pb.ChangesResponse:
            page = await self._store.changes(
                request.prefix, request.since, request.limit or DEFAULT_LIMIT
            )
            return pb.ChangesResponse(
                records=[record_to_proto(record) for record in page.records],
                cursor=page.cursor,
                more=page.more,
            )

        return await self._boundary.call("Changes", context, work)

    async def Watch(  # type: ignore[override]  # grpc.aio also takes a coroutine that writes
        self, request: pb.WatchRequest, context: Context
    ) -> None:
        """What changed after a cursor, then each change; ends when the caller does."""

        async def work() -> None:
            cursor = request.since
            while True:
                rung = self._bell.listen()
                page = await self._store.changes(request.prefix, cursor, DEFAULT_LIMIT)
                for record in page.records:
                    await context.write(
                        pb.WatchResponse(record=record_to_proto(record), cursor=record.change)
                    )
                cursor = page.cursor
                if not page.more:
                    with anyio.move_on_after(self._reread_s):
                        await rung.wait()

        async def until_drain() -> None:
            with self._boundary.until_drain():
                await work()

        await self._boundary.call("Watch", context, until_drain)
