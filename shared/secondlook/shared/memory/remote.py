"""The context memory behind the `ContextMemory` service: a store over gRPC.

A write is sent once. Where its answer is lost, nobody here knows whether it happened: the caller
is told so (`StoreError`), and may send it again without harm if the write has an `Origin`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.lowlevel
import grpc
import grpc.aio
from google.protobuf.message import Message

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import InvalidInput, NotFound, PermissionDenied, StoreError
from secondlook.shared.memory.record import (
    Changes,
    Document,
    Origin,
    Outcome,
    Record,
    Write,
    check_id,
)
from secondlook.shared.memory.remote_channel import RemoteAddress
from secondlook.shared.memory.remote_errors import error_of, passes
from secondlook.shared.memory.remote_replies import (
    outcome_of,
    page_of,
    parsed,
    record_of,
    told_of,
)
from secondlook.shared.memory.rules import check_batch, check_page
from secondlook.shared.telemetry import get_logger, inject
from secondlook.shared.wire.memory import write_to_proto

M = TypeVar("M", bound=Message)

MAX_REQUEST_BYTES = 512 * 1024
"""A larger batch travels in several requests, one after the other."""
WORTH_COMPRESSING = 1024
"""Smaller requests are sent as they are."""
PING_ID = "default/ping"
_SERVICE = pb.DESCRIPTOR.services_by_name["ContextMemory"].full_name
_BACKOFF_S = 0.2
_BACKOFF_MAX_S = 10.0

_log = get_logger(__name__)


@dataclass(slots=True)
class Exchanged:
    """What a `RemoteStore` has sent and received.

    Attributes:
        requests: calls begun.
        sent_bytes: messages sent, before compression.
        received_bytes: messages received, after decompression.
    """

    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class RemoteStore:
    """See `ContextStore`. `watch` comes on top.

    Reads that fail raise `Unavailable` or `DeadlineExceeded`; a write whose outcome is unknown
    raises `StoreError`, one that was never sent `Unavailable`.

    Args:
        channel: the way to the service; it stays the caller's, who closes it.
        timeout_s: the longest a call may take.
    """

    def __init__(self, channel: grpc.aio.Channel, *, timeout_s: float = 10.0) -> None:
        self._channel = channel
        self._owned = False
        self._timeout_s = timeout_s
        self._closed = False
        self.traffic = Exchanged()
        # Bytes in, bytes out: what comes back is parsed, counted and doubted here.
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {
            name: channel.unary_unary(f"/{_SERVICE}/{name}")
            for name in ("Load", "Apply", "Changes")
        }
        self._watching: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
            f"/{_SERVICE}/Watch"
        )

    @classmethod
    async def open(cls, url: str, *, timeout_s: float = 10.0) -> RemoteStore:
        """A store with a channel of its own; nothing is sent yet.

        Args:
            url: see `RemoteAddress.of`.
            timeout_s: the longest a call may take.

        Raises:
            InvalidConfig: the URL is malformed, or a certificate cannot be read.
        """
        store = cls(await RemoteAddress.of(url).connect(), timeout_s=timeout_s)
        store._owned = True
        return store

    async def save(
        self,
        record_id: str,
        data: Document,
        expected_version: int,
        *,
        writer: str,
        ttl_s: float | None = None,
        origin: Origin | None = None,
    ) -> Record:
        """See `ContextStore.save`."""
        if data is None:  # In a `Write` this would delete.
            raise InvalidInput("data is None; a JSON object expected")
        return await self._write(Write(record_id, data, expected_version, writer, ttl_s, origin))

    async def load(self, record_id: str) -> Record:
        """See `ContextStore.load`."""
        check_id(record_id)
        reply = await self._ask("Load", pb.LoadRequest(id=record_id), pb.LoadResponse)
        return record_of(reply.record, record_id)

    async def delete(
        self, record_id: str, expected_version: int, *, writer: str, origin: Origin | None = None
    ) -> Record:
        """See `ContextStore.delete`."""
        return await self._write(Write(record_id, None, expected_version, writer, None, origin))

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `ContextStore.apply`. A batch of many bytes takes more than one round trip."""
        check_batch(len(writes))
        outcomes: dict[int, Outcome] = {}
        messages: dict[int, pb.Write] = {}
        for index, write in enumerate(writes):
            try:
                messages[index] = write_to_proto(write)
            except InvalidInput as error:  # noqa: PERF203 - each write fails alone
                outcomes[index] = Outcome(error=error)
        while messages:
            group = _fitting(messages)
            request = pb.ApplyRequest(writes=[messages[index] for index in group])
            reply = await self._ask("Apply", request, pb.ApplyResponse, writes=True)
            if not 1 <= len(reply.outcomes) <= len(group):
                raise StoreError(
                    f"the service answered {len(reply.outcomes)} of {len(group)} writes"
                )
            # The service may leave the end of a batch for the next request.
            for index, message in zip(group, reply.outcomes, strict=False):
                outcomes[index] = outcome_of(message, writes[index])
                del messages[index]
        return [outcomes[index] for index in range(len(writes))]

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """See `ContextStore.changes`. A page of large records may be shorter than ``limit``."""
        check_page(prefix, since, limit)
        request = pb.ChangesRequest(prefix=prefix, since=since, limit=limit)
        reply = await self._ask("Changes", request, pb.ChangesResponse, since=since)
        return page_of(reply, prefix, since, limit)

    async def watch(self, prefix: str = "", since: int = 0) -> AsyncIterator[Record]:
        """What changed after ``since``, then each change as it comes; for ever.

        A lost connection is opened again, with growing pauses, and nothing is missed. A record
        that changes often may be told at its newest change only. To go on after a restart, pass the
        ``change`` of the last record as ``since``.

        Raises:
            CursorTooOld: deletions after the cursor have been forgotten.
            PermissionDenied: this identity may not read there.
            StoreError: the service answers nonsense, or this store was closed.
        """
        check_page(prefix, since, 1)
        failures = 0
        while True:
            self._check_open()
            request = pb.WatchRequest(prefix=prefix, since=since).SerializeToString()
            self.traffic.requests += 1
            self.traffic.sent_bytes += len(request)
            async with self._usable():
                call = self._watching(request, metadata=inject())
            try:
                while True:
                    async with self._usable():
                        raw = await call.read()
                    if not isinstance(raw, bytes):  # the end of the stream
                        break
                    self.traffic.received_bytes += len(raw)
                    failures = 0
                    message = parsed(pb.WatchResponse, raw)
                    record = told_of(message, prefix, since)
                    since = message.cursor
                    if record is not None:
                        yield record
            except grpc.aio.AioRpcError as error:
                if not passes(error):
                    raise error_of(error, since) from None
                _log.debug("watch was cut", since=since, error=error.details())
            finally:
                call.cancel()
            failures += 1
            bound_s = min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** min(failures, 16))
            await anyio.sleep(random.uniform(bound_s / 2, bound_s))

    async def ping(self) -> None:
        """See `ContextStore.ping`."""
        try:
            await self.load(PING_ID)
        except (NotFound, PermissionDenied):
            return

    async def close(self) -> None:
        """See `ContextStore.close`."""
        if self._closed:
            return
        self._closed = True
        if self._owned:
            with anyio.CancelScope(shield=True):
                await self._channel.close()

    async def _write(self, write: Write) -> Record:
        # As a batch: its answer has room for the record that stands in the way, however large; the
        # trailer of a failed `Save` has not.
        (outcome,) = await self.apply((write,))
        if outcome.record is None:
            assert outcome.error is not None
            raise outcome.error
        return outcome.record

    async def _ask(
        self, method: str, request: Message, reply: type[M], *, since: int = 0, writes: bool = False
    ) -> M:
        """One call; gRPC's errors end here."""
        self._check_open()
        raw = request.SerializeToString()
        self.traffic.requests += 1
        self.traffic.sent_bytes += len(raw)
        try:
            async with self._usable():
                answer = await self._methods[method](
                    raw,
                    timeout=self._timeout_s,
                    metadata=inject(),
                    compression=grpc.Compression.Gzip if len(raw) >= WORTH_COMPRESSING else None,
                )
        except grpc.aio.AioRpcError as error:
            raise error_of(error, since, writes=writes) from None
        self.traffic.received_bytes += len(answer)
        return parsed(reply, answer)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the context memory is closed")

    @asynccontextmanager
    async def _usable(self) -> AsyncIterator[None]:
        """A call, or a wait for its answer, that may be cancelled, or its channel closed."""
        try:
            yield
        except grpc.aio.UsageError:
            raise StoreError("the context memory is closed") from None
        except asyncio.CancelledError:
            # gRPC raises a new one, in which a cancel scope does not recognise its own.
            await anyio.lowlevel.checkpoint_if_cancelled()
            # It also cancels those whose channel is closed. Python 3.10 cannot tell them from a
            # task that was cancelled; there, one that was both is told the former.
            task = asyncio.current_task()
            if not self._closed or getattr(task, "cancelling", lambda: 0)():
                raise
            raise StoreError("the context memory was closed during the call") from None


def _fitting(messages: dict[int, pb.Write]) -> list[int]:
    """The first of the writes, as many as one request takes, at least one."""
    group: list[int] = []
    size = 0
    for index, message in messages.items():
        size += message.ByteSize()
        if group and size > MAX_REQUEST_BYTES:
            break
        group.append(index)
    return group
