"""The servicer of `Escalation`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from secondlook.cloud.judge import Judge
from secondlook.cloud.rpc.boundary import Boundary, Context
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.rpc.v1 import escalation_pb2_grpc as pb_grpc
from secondlook.shared.errors import InvalidInput, Unavailable
from secondlook.shared.telemetry import bind
from secondlook.shared.wire.escalation import request_from_proto, verdict_to_proto

MAX_SESSION_REQUESTS = 16
"""Requests of one stream that are worked on at once; further ones wait in gRPC's flow control."""


class EscalationServicer(pb_grpc.EscalationServicer):
    """Converts, and asks the judge.

    Args:
        judge: what answers.
        boundary: what every call has in common.
    """

    def __init__(self, judge: Judge, boundary: Boundary) -> None:
        self._judge = judge
        self._boundary = boundary

    async def Escalate(self, request: pb.EscalateRequest, context: Context) -> pb.EscalateResponse:
        """One stateless question."""
        return await self._boundary.call(
            "Escalate",
            context,
            lambda: self._answer(request, context),
            request_id=request.request_id[:64],
            camera=request.camera[:128],
        )

    async def Session(  # type: ignore[override]  # grpc.aio also takes a coroutine that writes
        self, request_iterator: AsyncIterator[pb.SessionRequest], context: Context
    ) -> None:
        """Many questions; replies in the order in which they are ready."""
        places = anyio.Semaphore(MAX_SESSION_REQUESTS)
        writing = anyio.Lock()

        async def answer(request: pb.SessionRequest) -> None:
            try:
                response = await self._reply(request, context)
                async with writing:
                    await context.write(response)
            finally:
                places.release()

        async def read() -> None:
            ended: Unavailable | InvalidInput | None = None
            async with anyio.create_task_group() as answers:
                try:
                    with self._boundary.until_drain():
                        async for request in request_iterator:
                            # No place, no reading: gRPC's flow control holds the sender back.
                            await places.acquire()
                            answers.start_soon(answer, request)
                except (Unavailable, InvalidInput) as error:
                    # Draining, or bytes that are no message: answer what was read, then say so.
                    ended = error
            if ended is not None:
                raise ended

        await self._boundary.call("Session", context, read)

    async def _reply(self, request: pb.SessionRequest, context: Context) -> pb.SessionResponse:
        if request.WhichOneof("carrier") != "mosaic":
            error = InvalidInput("carrier is missing or unknown here; a mosaic expected")
            return await self._failed(request.index, error)
        try:
            with bind(request_id=request.mosaic.request_id[:64], index=request.index):
                verdict = await self._answer(request.mosaic, context)
        except Exception as error:  # noqa: BLE001 - it is this request's answer; the stream goes on
            return await self._failed(request.index, error)
        self._boundary.counted("Session.mosaic")
        return pb.SessionResponse(index=request.index, status=pb.SESSION_STATUS_OK, verdict=verdict)

    async def _failed(self, index: int, error: Exception) -> pb.SessionResponse:
        status = await self._boundary.told("Session.mosaic", error)
        return pb.SessionResponse(
            index=index,
            status=pb.SESSION_STATUS_ERROR,
            error=pb.SessionError(code=status.code.value[0], message=status.text),
        )

    async def _answer(self, request: pb.EscalateRequest, context: Context) -> pb.EscalateResponse:
        asked = request_from_proto(request)
        self._boundary.caller(context).check_camera(asked.camera)
        deadline = self._boundary.deadline(context, asked.useful_for_s)
        return verdict_to_proto(await self._judge.judge(asked, deadline))
