"""The servicer of the Open Inference Protocol: any client of Triton or KServe, every model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from google.protobuf.message import DecodeError

from secondlook.cloud.engine.asking import Ask, Inferred
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engine.tensors import Array
from secondlook.cloud.picture.decoders import Decoders
from secondlook.cloud.repository.bounds import FACE
from secondlook.cloud.rpc.boundary import Boundary, Context, retry_after_ms
from secondlook.cloud.rpc.inference import detection
from secondlook.cloud.rpc.inference.converters import Converter, Converters
from secondlook.cloud.rpc.inference.forms import Form, Forms
from secondlook.cloud.rpc.inference.management import Management
from secondlook.cloud.rpc.inference.stream import Stream
from secondlook.cloud.rpc.inference.wishes import Wishes, wishes
from secondlook.cloud.rpc.strict import NO_MESSAGE, takes_bytes
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
        self._forms = Forms()

    @takes_bytes
    async def ModelInfer(  # type: ignore[override]  # see `takes_bytes`
        self, raw: bytes, context: Context
    ) -> bytes:
        """One question."""
        return await self._boundary.call("ModelInfer", context, lambda: self._asked(raw, context))

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
            converter, _, outputs, inferred = await self._infer(request, context, wanted)
            reply = converter.writer.reply(request, inferred, outputs)
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

    async def _asked(self, raw: bytes, context: Context) -> bytes:
        known = self._forms.of(raw)
        if known is not None:
            form, request_id, array = known
            ask = self._ask(form.model, form.version, request_id, form.wishes, context)
            await self._engine.prepare(ask)
            if form.converter is self._converters.of(form.model, form.version):
                inferred = await self._engine.infer({form.tensor: array}, ask, form.outputs)
                return form.converter.writer.written(form.model, request_id, inferred, form.outputs)
            self._forms.forget()
        try:
            request = pb.ModelInferRequest.FromString(raw)
        except DecodeError:
            raise InvalidInput(NO_MESSAGE) from None
        wanted = wishes(request.parameters)
        converter, tensors, outputs, inferred = await self._infer(request, context, wanted)
        if len(request.raw_input_contents) == 1:
            ((tensor, array),) = tensors.items()
            # What is read element by element is no view: BOOL and BYTES.
            if array.dtype.kind in "iuf":
                told = request.model_name, request.model_version, wanted, outputs
                form = Form(*told, converter, tensor, array.dtype, array.shape)
                self._forms.learn(raw, request, form)
        return converter.writer.written(request.model_name, request.id, inferred, outputs)

    async def _infer(
        self, request: pb.ModelInferRequest, context: Context, wanted: Wishes
    ) -> tuple[Converter, dict[str, Array], tuple[str, ...], Inferred]:
        """What read a request, what it read, and what was inferred from that."""
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
        return converter, tensors, outputs, inferred

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
