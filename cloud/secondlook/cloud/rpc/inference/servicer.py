"""The servicer of the Open Inference Protocol: any client of Triton or KServe, every model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.picture.decoders import Decoders
from secondlook.cloud.repository.bounds import FACE
from secondlook.cloud.rpc.boundary import Boundary, Context, retry_after_ms
from secondlook.cloud.rpc.inference import detection
from secondlook.cloud.rpc.inference.converters import Converters
from secondlook.cloud.rpc.inference.management import Management
from secondlook.cloud.rpc.inference.stream import Stream
from secondlook.cloud.rpc.inference.wishes import Wishes, wishes
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.errors import InvalidInput, NotFound

MAX_NAME = 256
"""Longest name or version of a model, and id of a request."""

STATUS = "status"
RETRY_AFTER = "retry_after_ms"
"""Parameters of a failed reply of a stream, which has no status of its own."""

FINAL = "triton_final_response"


class InferenceServicer(Management, pb_grpc.GRPCInferenceServiceServicer):
    """Converts, and asks the engine.

    Args:
        engine: what runs the models.
        boundary: what every call has in common.
        decoders: what decodes pictures.
        ready: whether new work is welcome.
        release: what version the service says it is.
    """

    def __init__(
        self,
        engine: Engine,
        boundary: Boundary,
        decoders: Decoders,
        *,
        ready: Callable[[], bool],
        release: str,
    ) -> None:
        super().__init__(engine, boundary, ready=ready, release=release)
        self._engine = engine
        self._boundary = boundary
        self._decoders = decoders
        self._converters = Converters(engine)

    def ModelInfer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> Awaitable[pb.ModelInferResponse]:
        """One question."""
        # No coroutine of its own around the one that does the work.
        return self._boundary.call(
            "ModelInfer", context, lambda: self._infer(request, context, wishes(request.parameters))
        )

    async def ModelStreamInfer(  # type: ignore[override]  # grpc.aio also takes a coroutine
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> None:
        """Many questions; replies in the order in which they are ready."""

        async def answer(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
            return await self._streamed(request, context)

        stream = Stream(answer, context.write, self._boundary.until_drain)
        await self._boundary.call("ModelStreamInfer", context, lambda: stream.run(request_iterator))

    async def _streamed(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelStreamInferResponse:
        try:
            wanted = wishes(request.parameters)
            reply = await self._infer(request, context, wanted)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - it is this request's answer; the stream goes on
            return await self._failed(request, error)
        self._boundary.counted("ModelStreamInfer.request")
        if wanted.marks_final:
            reply.parameters[FINAL].bool_param = True
        return pb.ModelStreamInferResponse(infer_response=reply)

    async def _failed(
        self, request: pb.ModelInferRequest, error: Exception
    ) -> pb.ModelStreamInferResponse:
        status = await self._boundary.told("ModelStreamInfer.request", error)
        failed = pb.ModelStreamInferResponse(error_message=status.text)
        reply = failed.infer_response
        reply.id = request.id[:MAX_NAME]
        reply.parameters[STATUS].string_param = status.code.name
        if (wait_ms := retry_after_ms(error)) is not None:
            reply.parameters[RETRY_AFTER].int64_param = wait_ms
        return failed

    async def _infer(
        self, request: pb.ModelInferRequest, context: Context, wanted: Wishes
    ) -> pb.ModelInferResponse:
        model, version = request.model_name, request.model_version
        _check_names(model, version, request.id)
        face = model.endswith(FACE)
        if face:
            model = model.removesuffix(FACE)
        ask = self._ask(model, version, request.id, wanted, context)
        await self._engine.prepare(ask)
        if face:
            converter = self._converters.detection
            # Before its tensors are judged by what every detector takes.
            self._engine.detector(model, version)
        else:
            converter = self._converters.of(model, version)
        tensors = converter.reader.tensors(request)
        outputs = converter.reader.outputs(request)
        if face:
            inferred = await detection.detect(self._engine, self._decoders, tensors, ask, outputs)
        else:
            inferred = await self._engine.infer(tensors, ask, outputs)
        return converter.writer.reply(request, inferred, outputs)

    def _ask(
        self, model: str, version: str, request_id: str, wanted: Wishes, context: Context
    ) -> Ask:
        caller = self._boundary.caller(context)
        if wanted.camera:
            caller.check_camera(wanted.camera)
        return Ask(
            self._boundary.deadline(context, wanted.useful_for_s),
            model,
            version,
            wanted.priority,
            # Who shows a certificate is its holder, whatever it says.
            caller.identity or wanted.tenant,
            wanted.camera,
            request_id,
        )


def _check_names(model: str, version: str, request_id: str) -> None:
    if not model:
        raise InvalidInput("model_name is missing")
    if len(model) > MAX_NAME or len(version) > MAX_NAME:
        raise NotFound(f"no model is named {model[:32]!r}... with version {version[:32]!r}")
    if len(request_id) > MAX_NAME:
        raise InvalidInput(f"id has {len(request_id)} characters; at most {MAX_NAME} are taken")
