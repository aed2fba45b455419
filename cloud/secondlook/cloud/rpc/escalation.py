"""The servicer of `Escalation`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio

from secondlook.cloud.canvas.canvases import Canvases, Seen
from secondlook.cloud.canvas.metrics import CanvasMetrics
from secondlook.cloud.canvas.session import CanvasSession
from secondlook.cloud.judge import Judge
from secondlook.cloud.rpc.boundary import Boundary, Context
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.rpc.v1 import escalation_pb2_grpc as pb_grpc
from secondlook.shared.errors import InvalidInput, StateLost, Unavailable
from secondlook.shared.telemetry import bind
from secondlook.shared.values import Escalation
from secondlook.shared.wire.escalation import request_from_proto, verdict_to_proto

MAX_SESSION_REQUESTS = 16
"""Requests of one stream that are worked on at once; further ones wait in gRPC's flow control."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question of a stream; both ``None`` where it is not about a canvas."""

    canvas: Escalation | None
    seen: Seen | None


@dataclass(slots=True)
class _Stream:
    """What one stream has.

    Attributes:
        canvas: its canvas.
        model: name and version of the model in the last reply about it.
    """

    canvas: CanvasSession
    model: tuple[str, str] = ("", "")


class EscalationServicer(pb_grpc.EscalationServicer):
    """Converts, and asks the judge.

    Args:
        judge: what answers.
        boundary: what every call has in common.
        canvases: where canvases are decoded.
        metrics: where they are counted.
    """

    def __init__(
        self, judge: Judge, boundary: Boundary, canvases: Canvases, metrics: CanvasMetrics
    ) -> None:
        self._judge = judge
        self._boundary = boundary
        self._canvases = canvases
        self._metrics = metrics

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
        # Asked for each camera: who calls does not change, but must be known for a canvas alone.
        canvas = CanvasSession(
            self._canvases,
            lambda camera: self._boundary.caller(context).check_camera(camera),
            self._metrics,
        )
        stream = _Stream(canvas)

        async def answer(request: pb.SessionRequest, seen: _Asked | pb.SessionResponse) -> None:
            try:
                if isinstance(seen, pb.SessionResponse):
                    response = seen
                else:
                    response = await self._reply(request, seen, context)
                async with writing:
                    if not isinstance(seen, pb.SessionResponse) and seen.canvas is not None:
                        stream.model = _abridged(response, stream.model)
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
                            # Canvases are decoded here, one after the other; judged side by side.
                            seen = await self._seen(request, stream)
                            answers.start_soon(answer, request, seen)
                except (Unavailable, InvalidInput) as error:
                    # Draining, or bytes that are no message: answer what was read, then say so.
                    ended = error
            if ended is not None:
                raise ended

        try:
            await self._boundary.call("Session", context, read)
        finally:
            canvas.close()

    async def _seen(
        self, request: pb.SessionRequest, stream: _Stream
    ) -> _Asked | pb.SessionResponse:
        """What is asked, or the reply where that is clear already."""
        kind = request.WhichOneof("carrier")
        if kind != "canvas":
            stream.canvas.noted(request.index)
            return _Asked(None, None)
        try:
            return _Asked(*await stream.canvas.see(request))
        except (StateLost, InvalidInput) as error:
            return await self._failed(
                "Session.canvas", request.index, error, pb.SESSION_STATUS_NEED_KEYFRAME
            )
        except Exception as error:  # noqa: BLE001 - it is this request's answer; the stream goes on
            return await self._failed("Session.canvas", request.index, error)

    async def _reply(
        self, request: pb.SessionRequest, asked: _Asked, context: Context
    ) -> pb.SessionResponse:
        kind = request.WhichOneof("carrier")
        if kind is None:
            error = InvalidInput("carrier is missing or unknown here; mosaic or canvas expected")
            return await self._failed("Session.mosaic", request.index, error)
        method = f"Session.{kind}"
        try:
            if asked.canvas is not None:
                with bind(camera=asked.canvas.camera, index=request.index):
                    deadline = self._boundary.deadline(context, asked.canvas.useful_for_s)
                    tenant = self._boundary.caller(context).identity
                    verdict = verdict_to_proto(
                        await self._judge.judge(asked.canvas, deadline, asked.seen, tenant=tenant)
                    )
            else:
                with bind(request_id=request.mosaic.request_id[:64], index=request.index):
                    verdict = await self._answer(request.mosaic, context)
        except Exception as error:  # noqa: BLE001 - it is this request's answer; the stream goes on
            return await self._failed(method, request.index, error)
        self._boundary.counted(method)
        return pb.SessionResponse(index=request.index, status=pb.SESSION_STATUS_OK, verdict=verdict)

    async def _failed(
        self,
        method: str,
        index: int,
        error: Exception,
        outcome: pb.SessionStatus.ValueType = pb.SESSION_STATUS_ERROR,
    ) -> pb.SessionResponse:
        status = await self._boundary.told(method, error)
        return pb.SessionResponse(
            index=index,
            status=outcome,
            error=pb.SessionError(code=status.code.value[0], message=status.text),
        )

    async def _answer(self, request: pb.EscalateRequest, context: Context) -> pb.EscalateResponse:
        asked = request_from_proto(request)
        caller = self._boundary.caller(context)
        caller.check_camera(asked.camera)
        deadline = self._boundary.deadline(context, asked.useful_for_s)
        return verdict_to_proto(await self._judge.judge(asked, deadline, tenant=caller.identity))


def _abridged(response: pb.SessionResponse, model_before: tuple[str, str]) -> tuple[str, str]:
    """Leave out of a reply about a canvas what the edge knows; returns the model it is from now."""
    if response.status != pb.SESSION_STATUS_OK:
        return model_before
    verdict = response.verdict
    verdict.request_id = ""
    model = verdict.model, verdict.model_version
    if model == model_before:
        verdict.model = verdict.model_version = ""
    return model
