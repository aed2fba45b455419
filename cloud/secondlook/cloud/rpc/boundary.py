"""The border between gRPC and the service: deadlines, identity, metrics, spans, errors.

Each servicer method is one line inside `Boundary.call`. A wrapper rather than a gRPC interceptor:
an interceptor is asked again for its handler on every call, which costs more than the call's own
bookkeeping.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar, cast

import anyio
import anyio.to_thread
import grpc.aio
from opentelemetry import trace

from secondlook.cloud.access import ANYONE, Access, Caller
from secondlook.cloud.metrics import RpcMetrics
from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.errors import CursorTooOld, Overloaded, Unavailable, VersionConflict
from secondlook.shared.telemetry import bind, extract, get_logger, tracer, tracing
from secondlook.shared.wire.memory import CONFLICT_TRAILER, FLOOR_TRAILER, conflict_to_proto
from secondlook.shared.wire.status import Status, status_of

MAX_TRAILER_BYTES = 4096
"""Clients of gRPC refuse more than 8 KiB of trailers, where 3 bytes count as 4."""

MAX_TEXT = 1024
"""Longest text of a status: it shares the trailers' room, and may quote what a caller sent."""

RETRY_TRAILER = "grpc-retry-pushback-ms"
"""Milliseconds until it makes sense to ask again. Clients of gRPC that have a retry policy heed it
by themselves (gRFC A6, "Pushback"); others can read it in the trailers."""

R = TypeVar("R")
Context = grpc.aio.ServicerContext[Any, Any]


class Boundary:
    """What every call has in common.

    Args:
        metrics: where to count.
        clock: the clock of the deadlines.
        default_deadline_s: for calls that bring none.
        access: who may do what; default: everyone everything.
    """

    def __init__(
        self,
        metrics: RpcMetrics,
        clock: Clock,
        default_deadline_s: float,
        access: Access | None = None,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._default_deadline_s = default_deadline_s
        self._access = access
        self._tracer = tracer(__name__)
        # An SDK is set up before the service; asking at each call costs a look at the environment.
        self._traced = tracing()
        self._endless: set[anyio.CancelScope] = set()
        self._draining = False
        self._log = get_logger(__name__)

    def deadline(self, context: Context, useful_for_s: float | None = None) -> Deadline:
        """The call's own deadline, or the end of its usefulness, whichever comes first."""
        # The stubs forget that a call may have no deadline.
        budget_s = cast("float | None", context.time_remaining())
        if budget_s is None:
            budget_s = self._default_deadline_s
        if useful_for_s is not None:
            budget_s = min(budget_s, useful_for_s)
        return Deadline.after(budget_s, self._clock)

    def caller(self, context: Context) -> Caller:
        """Who calls, and what it may do.

        Raises:
            PermissionDenied: it is not known here.
        """
        if self._access is None:
            return ANYONE
        return self._access.caller(context.auth_context())

    @contextmanager
    def until_drain(self) -> Iterator[None]:
        """Run what would never end by itself until the service drains.

        Raises:
            Unavailable: the service drains; the block was cancelled.
        """
        with anyio.CancelScope() as scope:
            self._endless.add(scope)
            try:
                if self._draining:
                    scope.cancel()
                yield
            finally:
                self._endless.discard(scope)
        if scope.cancelled_caught:
            raise Unavailable("the service is draining")

    def drain(self) -> None:
        """End what would never end by itself."""
        self._draining = True
        for scope in self._endless:
            scope.cancel()

    def call(
        self, method: str, context: Context, work: Callable[[], Awaitable[R]], **fields: str
    ) -> Awaitable[R]:
        """Do the work of a call; an error becomes its status.

        Args:
            method: short name, for metrics and spans.
            context: the call.
            work: what to do.
            fields: bound to all events logged meanwhile, and set on the span. A call that gives
                none costs less.
        """
        if fields or self._traced:
            return self._recorded(method, context, work, fields)
        # Most calls of most services: what nobody records is not made.
        return self._answered(method, context, work)

    async def _recorded(
        self,
        method: str,
        context: Context,
        work: Callable[[], Awaitable[R]],
        fields: Mapping[str, str],
    ) -> R:
        with bind(**fields):
            if not self._traced:
                return await self._answered(method, context, work)
            with self._tracer.start_as_current_span(
                method,
                context=extract(_pairs(context)),
                kind=trace.SpanKind.SERVER,
                attributes=fields,
            ):
                return await self._answered(method, context, work)

    async def _answered(self, method: str, context: Context, work: Callable[[], Awaitable[R]]) -> R:
        try:
            result = await work()
        except asyncio.CancelledError:
            self._metrics.answered(method, "CANCELLED")
            raise
        except Exception as error:  # noqa: BLE001 - every error of a call becomes its status
            await self.abort(method, context, error)
        self._metrics.answered(method, "OK")
        return result

    async def abort(self, method: str, context: Context, error: Exception) -> NoReturn:
        """End the call with the status of an error."""
        status = await self.told(method, error)
        trailer: tuple[tuple[str, str | bytes], ...] = ()
        if isinstance(error, VersionConflict):
            trailer = ((CONFLICT_TRAILER, _conflict(error)),)
        elif isinstance(error, CursorTooOld):
            trailer = ((FLOOR_TRAILER, str(error.floor)),)
        elif (wait_ms := retry_after_ms(error)) is not None:
            trailer = ((RETRY_TRAILER, str(wait_ms)),)
        await context.abort(status.code, status.text[:MAX_TEXT], trailer)

    def counted(self, method: str) -> None:
        """One request of a stream was answered well."""
        self._metrics.answered(method, "OK")

    async def told(self, method: str, error: Exception) -> Status:
        """The status of an error, counted; what is unexpected is logged under its incident id."""
        status = status_of(error)
        self._metrics.answered(method, status.code.name)
        if status.code is grpc.StatusCode.INTERNAL:
            # A traceback is made from source files: not on the event loop.
            await anyio.to_thread.run_sync(
                lambda: self._log.error(
                    "call failed", method=method, incident=status.incident, exc_info=error
                )
            )
        return status


def retry_after_ms(error: Exception) -> int | None:
    """Milliseconds until it makes sense to ask again; ``None`` where nothing is known."""
    if not isinstance(error, (Overloaded, Unavailable)) or error.retry_after_s is None:
        return None
    return math.ceil(error.retry_after_s * 1000)


def _conflict(error: VersionConflict) -> bytes:
    message = conflict_to_proto(error)
    if message.ByteSize() > MAX_TRAILER_BYTES:
        message.ClearField("current")
    return message.SerializeToString()


def _pairs(context: Context) -> Iterable[tuple[str, str | bytes]]:
    return context.invocation_metadata() or ()
