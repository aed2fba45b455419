"""Asks another server over one channel. Foreign errors (``grpc``) are mapped here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from secondlook.cloud.backends.remote_protocol import (
    MESSAGE_SIZES,
    MissingMethod,
    error_of,
    outputs_of,
    request_of,
)
from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.remote.settings import RemoteSettings
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.rpc.inference.management import SERVER
from secondlook.cloud.rpc.inference.writing import REASON, VARIANT
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.clock import Clock
from secondlook.shared.errors import Unavailable

# An inference has no effects: asking again is safe.
_RETRIES = """{"methodConfig": [{"name": [{"service": "inference.GRPCInferenceService"}],
  "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.02s", "maxBackoff": "0.5s",
  "backoffMultiplier": 4, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""


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
            *MESSAGE_SIZES,
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
        self._ours = self._kserve = False

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
        self._kserve = told.name == "kserve"

    async def index(self) -> Sequence[pb.RepositoryIndexResponse.ModelIndex] | None:
        """What its repository holds; ``None`` where it does not tell (KServe need not)."""
        try:
            told = await self._call(self._stub.RepositoryIndex, pb.RepositoryIndexRequest())
        except MissingMethod:
            return None
        found: Sequence[pb.RepositoryIndexResponse.ModelIndex] = told.models
        return found

    async def ready(self, model: str) -> bool:
        """Whether it can be asked.

        Raises:
            NotFound, ModelFailure: there is no such model, or it does not say.
        """
        told = await self._call(self._stub.ModelReady, pb.ModelReadyRequest(name=model))
        ready: bool = told.ready
        return ready

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
        request = pb.RepositoryModelLoadRequest()
        self._name(request, model)
        if config is not None:
            request.parameters["config"].string_param = config
        await self._call(self._stub.RepositoryModelLoad, request)

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`."""
        request = pb.RepositoryModelUnloadRequest()
        self._name(request, model)
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
        inputs = {
            spec.name: (spec.dtype, tensors[spec.name])
            for spec in signature.inputs
            if spec.name in tensors
        }
        request = request_of(model, version, inputs, outputs, ask.request_id)
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
        return outputs_of(reply, outputs or tuple(spec.name for spec in signature.outputs)), ran

    async def close(self) -> None:
        """End the channel; calls that are under way fail with `Unavailable`."""
        await self._channel.close()

    def _name(
        self, request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest, model: str
    ) -> None:
        # KServe's messages have the name of the model where Triton's have that of the repository.
        if self._kserve:
            request.repository_name = model
        else:
            request.model_name = model

    async def _call(
        self, method: Callable[..., Any], request: object, timeout_s: float | None = None
    ) -> Any:
        budget_s = self._settings.timeout_s if timeout_s is None else timeout_s
        try:
            return await method(request, timeout=budget_s)
        except grpc.aio.AioRpcError as error:
            raise error_of(error.code(), self.address, error.details()) from error
        except grpc.aio.UsageError as error:
            # What gRPC says of a channel that was closed.
            raise Unavailable(f"{self.address}: the connection is closed") from error


def _say_who(request: pb.ModelInferRequest, ask: Ask) -> None:
    """For its queue and its fair shares; other servers might take these for something else."""
    request.parameters["priority"].int64_param = int(ask.priority) + 1
    if ask.tenant:
        request.parameters["tenant"].string_param = ask.tenant
    if ask.camera:
        request.parameters["camera"].string_param = ask.camera


def _text(reply: pb.ModelInferResponse, name: str) -> str:
    # A map of messages makes what is asked for by `[]`: look first.
    return reply.parameters[name].string_param if name in reply.parameters else ""
