"""Asks another server over one channel. Foreign errors (``grpc``) are mapped here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.remote.settings import RemoteSettings
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.rpc.inference.reading import from_contents, from_raw
from secondlook.cloud.rpc.inference.writing import REASON, VARIANT, to_raw
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.clock import Clock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    InvalidInput,
    ModelFailure,
    NotFound,
    Overloaded,
    PermissionDenied,
    SecondlookError,
    Unavailable,
)

SERVER = "secondlook"
"""What our own service calls itself."""

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
"""Of one call: 16 images of 1280 x 1280 as floats are 315 MB."""

# An inference has no effects: asking again is safe.
_RETRIES = """{"methodConfig": [{"name": [{"service": "inference.GRPCInferenceService"}],
  "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.02s", "maxBackoff": "0.5s",
  "backoffMultiplier": 4, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""

_ERRORS: Mapping[grpc.StatusCode, type[SecondlookError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
}


class RemoteServer:
    """One server. Made inside the event loop that uses it.

    Args:
        settings: where it is.
        certificates: of the authority to trust; ``None``: the system's.
        clock: the clock of the deadlines.
    """

    def __init__(self, settings: RemoteSettings, certificates: bytes | None, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        options = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.service_config", _RETRIES),
            ("grpc.keepalive_time_ms", 30_000),
        ]
        address = settings.address
        self._channel = (
            grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(certificates), options)
            if settings.tls
            else grpc.aio.insecure_channel(address, options)
        )
        self._stub: Any = pb_grpc.GRPCInferenceServiceStub(self._channel)
        self._ours = False

    @property
    def address(self) -> str:
        """Where it is."""
        return self._settings.address

    async def greet(self) -> None:
        """Find out what it is.

        Raises:
            Unavailable: it cannot be reached.
        """
        try:
            told = await self._call(self._stub.ServerMetadata, pb.ServerMetadataRequest())
        except MissingMethod:
            return
        self._ours = told.name == SERVER

    async def index(self) -> Sequence[pb.RepositoryIndexResponse.ModelIndex] | None:
        """What its repository holds; ``None`` where it does not tell (KServe need not)."""
        try:
            told = await self._call(self._stub.RepositoryIndex, pb.RepositoryIndexRequest())
        except MissingMethod:
            return None
        found: Sequence[pb.RepositoryIndexResponse.ModelIndex] = told.models
        return found

    async def metadata(self, model: str, version: str) -> pb.ModelMetadataResponse:
        """What a model takes and gives.

        Raises:
            NotFound: it does not serve that.
        """
        request = pb.ModelMetadataRequest(name=model, version=version)
        told: pb.ModelMetadataResponse = await self._call(self._stub.ModelMetadata, request)
        return told

    async def config(self, model: str, version: str) -> pb.ModelConfigResponse | None:
        """How a model is run; ``None`` where it does not tell."""
        request = pb.ModelConfigRequest(name=model, version=version)
        try:
            told: pb.ModelConfigResponse = await self._call(self._stub.ModelConfig, request)
        except MissingMethod:
            return None
        return told

    async def load(self, model: str, config: str | None) -> None:
        """See `Catalogue.load`."""
        request = pb.RepositoryModelLoadRequest(model_name=model)
        if config is not None:
            request.parameters["config"].string_param = config
        await self._call(self._stub.RepositoryModelLoad, request)

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`."""
        request = pb.RepositoryModelUnloadRequest(model_name=model)
        await self._call(self._stub.RepositoryModelUnload, request)

    async def infer(
        self,
        model: str,
        version: str,
        signature: Signature,
        tensors: Tensors,
        ask: Ask,
        outputs: Sequence[str],
    ) -> tuple[dict[str, Array], Ran]:
        """Run it once; the call ends with the deadline, and with the task that waits for it.

        Raises:
            InvalidInput: the server refuses the tensors.
            ModelFailure: the model failed there, or the answer cannot be read.
            NotFound, Overloaded, DeadlineExceeded, Unavailable: as the server says.
        """
        request = pb.ModelInferRequest(model_name=model, model_version=version, id=ask.request_id)
        for spec in signature.inputs:
            array = tensors.get(spec.name)
            if array is not None:
                request.inputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
                request.raw_input_contents.append(to_raw(spec.name, spec.dtype, array))
        for name in outputs:
            request.outputs.add(name=name)
        if self._ours:
            _say_who(request, ask)
        began_s = self._clock.monotonic()
        reply = await self._call(
            self._stub.ModelInfer, request, max(0.0, ask.deadline.at_s - began_s)
        )
        ran = Ran(
            model,
            reply.model_version or version,
            variant=_text(reply, VARIANT),
            infer_s=self._clock.monotonic() - began_s,
            reason=_text(reply, REASON),
        )
        return _outputs(reply, outputs or tuple(spec.name for spec in signature.outputs)), ran

    async def close(self) -> None:
        """End the channel; calls that are under way fail with `Unavailable`."""
        await self._channel.close()

    async def _call(
        self, method: Callable[..., Any], request: object, timeout_s: float | None = None
    ) -> Any:
        budget_s = self._settings.timeout_s if timeout_s is None else timeout_s
        try:
            return await method(request, timeout=budget_s)
        except grpc.aio.AioRpcError as error:
            raise self._mapped(error) from error
        except grpc.aio.UsageError as error:
            # What gRPC says of a channel that was closed.
            raise Unavailable(f"{self.address}: the connection is closed") from error

    def _mapped(self, error: grpc.aio.AioRpcError) -> SecondlookError:
        code = error.code()
        what = f"{self.address}: {(error.details() or code.name)[:300]}"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return MissingMethod(what)
        if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
            # It is us whom the server does not know, not whoever asks us.
            return Unavailable(what)
        kind = _ERRORS.get(code, ModelFailure)
        return kind(what)


class MissingMethod(PermissionDenied):
    """The server does not have this call."""


def certificates_of(settings: RemoteSettings) -> bytes | None:
    """Read the authority's certificate. Blocking.

    Raises:
        InvalidConfig: it cannot be read.
    """
    if settings.ca is None:
        return None
    try:
        return settings.ca.read_bytes()
    except OSError as error:
        raise InvalidConfig(
            f"engine.remote.ca: {settings.ca} cannot be read: {error.strerror}"
        ) from error


def _say_who(request: pb.ModelInferRequest, ask: Ask) -> None:
    """For its queue and its fair shares; other servers might take these for something else."""
    request.parameters["priority"].int64_param = int(ask.priority) + 1
    if ask.tenant:
        request.parameters["tenant"].string_param = ask.tenant
    if ask.camera:
        request.parameters["camera"].string_param = ask.camera


def _outputs(reply: pb.ModelInferResponse, wanted: Sequence[str]) -> dict[str, Array]:
    raws = reply.raw_output_contents
    if raws and len(raws) != len(reply.outputs):
        raise ModelFailure(f"answered {len(raws)} contents for {len(reply.outputs)} outputs")
    found: dict[str, Array] = {}
    for place, tensor in enumerate(reply.outputs):
        shape = tuple(tensor.shape)
        try:
            found[tensor.name] = (
                from_raw(tensor.name, tensor.datatype, shape, raws[place])
                if raws
                else from_contents(tensor.name, tensor.datatype, shape, tensor.contents)
            )
        except (InvalidInput, KeyError) as error:
            raise ModelFailure(f"answered what cannot be read: {error}") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ModelFailure(f"did not answer output {missing[0]!r}")
    return {name: found[name] for name in wanted}


def _text(reply: pb.ModelInferResponse, name: str) -> str:
    # A map of messages makes what is asked for by `[]`: look first.
    return reply.parameters[name].string_param if name in reply.parameters else ""
