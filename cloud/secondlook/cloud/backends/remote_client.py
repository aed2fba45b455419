"""A client of the Open Inference Protocol: one model on one server, over one channel.

Foreign errors (``grpc``) are mapped here. What the server says about *us* (no permission, no such
model) is no fault of whoever asked for an answer, so it becomes `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from secondlook.cloud.engine.tensors import Array
from secondlook.cloud.repository.config import ModelConfig
from secondlook.cloud.rpc.inference.reading import from_contents, from_raw
from secondlook.cloud.rpc.inference.writing import to_raw
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    InvalidInput,
    ModelFailure,
    Overloaded,
    SecondlookError,
    Unavailable,
)

TIMEOUT_S = 10.0
MAX_TIMEOUT_S = 600.0
MAX_MESSAGE_BYTES = 512 * 1024 * 1024
"""Of one call: 16 images of 1280 x 1280 as floats are 315 MB."""

_Request = TypeVar("_Request", bound=object)
_Reply = TypeVar("_Reply", bound=object)


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a model is.

    Attributes:
        target: as gRPC names it.
        model: its name there.
        version: its version there; empty: what that server serves under the name.
        timeout_s: longest wait for one answer, seconds.
        tls: whether the channel is encrypted.
        authority: file with the certificates to trust; ``None``: the system's.
    """

    target: str
    model: str
    version: str = ""
    timeout_s: float = TIMEOUT_S
    tls: bool = False
    authority: Path | None = None


def read_remote(config: ModelConfig) -> Remote:
    """What ``config.parameters`` say.

    Raises:
        InvalidConfig: the address is missing, a value cannot be.
    """
    said = config.parameters
    where = f"model {config.name}: parameters"
    address = said.get("address", "").strip()
    if not address:
        raise InvalidConfig(
            f"{where}[address] is missing", remedy="state host:port of the server, as in ml1:8001"
        )
    scheme, found, rest = address.partition("://")
    if found and scheme not in ("grpc", "grpcs"):
        raise InvalidConfig(
            f"{where}[address] is {address[:80]!r}", remedy="use host:port, grpc:// or grpcs://"
        )
    tls = said.get("tls", "true" if scheme == "grpcs" else "").strip()
    try:
        timeout_s = float(said.get("timeout_s", TIMEOUT_S))
    except ValueError:
        timeout_s = -1.0
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise InvalidConfig(
            f"{where}[timeout_s] is {said['timeout_s'][:40]!r}; above 0, at most "
            f"{MAX_TIMEOUT_S:.0f} seconds expected"
        )
    return Remote(
        target=rest if found else address,
        model=said.get("remote_model", "") or config.name,
        version=said.get("remote_version", ""),
        timeout_s=timeout_s,
        tls=tls.lower() not in ("", "false", "0"),
        authority=None if tls.lower() in ("", "false", "0", "true", "1") else Path(tls),
    )


class RemoteClient:
    """Asks one model. Calls block; any one thread at a time.

    Args:
        remote: where it is.

    Raises:
        InvalidConfig: the certificates cannot be read.
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        options = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Several instances shall not share one connection.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if remote.tls:
            credentials = grpc.ssl_channel_credentials(_certificates(remote.authority))
            self._channel = grpc.secure_channel(remote.target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(remote.target, options)
        self._stub = pb_grpc.GRPCInferenceServiceStub(self._channel)
        self._closed = False

    def metadata(self) -> pb.ModelMetadataResponse:
        """What the model takes and gives. Waits for the server, up to the timeout.

        Raises:
            Unavailable: the server cannot be reached, or does not serve the model.
        """
        remote = self.remote
        ready = pb.ModelReadyRequest(name=remote.model, version=remote.version)
        if not self._call(self._stub.ModelReady, ready, wait=True).ready:
            raise Unavailable(f"{self._who()} is not ready")
        request = pb.ModelMetadataRequest(name=remote.model, version=remote.version)
        return self._call(self._stub.ModelMetadata, request)

    def max_batch(self) -> int | None:
        """Most rows in one call; ``None`` where the server does not tell (KServe need not)."""
        remote = self.remote
        request = pb.ModelConfigRequest(name=remote.model, version=remote.version)
        try:
            return self._stub.ModelConfig(request, timeout=remote.timeout_s).config.max_batch_size
        except grpc.RpcError as error:
            if _code(error) is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise self._mapped(error) from error

    def infer(
        self, inputs: Mapping[str, tuple[str, Array]], outputs: tuple[str, ...]
    ) -> dict[str, Array]:
        """Run it once.

        Args:
            inputs: datatype and tensor of each input.
            outputs: names of those wanted.

        Returns:
            The outputs, read only.

        Raises:
            InvalidInput: the server refuses the tensors.
            ModelFailure: the model failed there, or the answer cannot be read.
            Overloaded, DeadlineExceeded, Unavailable: as the server says.
        """
        remote = self.remote
        request = pb.ModelInferRequest(model_name=remote.model, model_version=remote.version)
        for name, (datatype, array) in inputs.items():
            request.inputs.add(name=name, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(to_raw(name, datatype, array))
        for name in outputs:
            request.outputs.add(name=name)
        return self.read(self._call(self._stub.ModelInfer, request), outputs)

    def close(self) -> None:
        """End the channel; a call that is under way fails. Safe to repeat."""
        self._closed = True
        self._channel.close()

    @staticmethod
    def read(reply: pb.ModelInferResponse, outputs: tuple[str, ...]) -> dict[str, Array]:
        """What a reply holds.

        Args:
            reply: of any server.
            outputs: names of the outputs that must be there.

        Returns:
            Those outputs, read only.

        Raises:
            ModelFailure: it cannot be read, or one of them is missing.
        """
        raws = reply.raw_output_contents
        if raws and len(raws) != len(reply.outputs):
            raise ModelFailure(f"answered {len(raws)} contents for {len(reply.outputs)} outputs")
        found: dict[str, Array] = {}
        for place, tensor in enumerate(reply.outputs):
            name, shape = tensor.name, tuple(tensor.shape)
            try:
                if raws:
                    found[name] = from_raw(name, tensor.datatype, shape, raws[place])
                else:
                    found[name] = from_contents(name, tensor.datatype, shape, tensor.contents)
            except (InvalidInput, KeyError) as error:
                raise ModelFailure(f"answered what cannot be read: {error}") from error
        missing = [name for name in outputs if name not in found]
        if missing:
            raise ModelFailure(f"did not answer output {missing[0]!r}")
        return {name: found[name] for name in outputs}

    def _call(
        self, method: Callable[..., _Reply], request: _Request, *, wait: bool = False
    ) -> _Reply:
        try:
            return method(request, timeout=self.remote.timeout_s, wait_for_ready=wait)
        except grpc.RpcError as error:
            raise self._mapped(error) from error
        except ValueError as error:
            # What gRPC says of a channel that was closed.
            raise Unavailable(f"{self._who()}: the connection is closed") from error

    def _mapped(self, error: grpc.RpcError) -> SecondlookError:
        code, details = _code(error), _details(error)
        what = f"{self._who()}: {details or code.name}"
        if self._closed or code is grpc.StatusCode.CANCELLED:
            return Unavailable(f"{self._who()}: the connection is closed")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"{self._who()} did not answer in {self.remote.timeout_s:g} s")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Overloaded(what)
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidInput(what)
        if code in _OURS:
            return Unavailable(what)
        return ModelFailure(what)

    def _who(self) -> str:
        return f"model {self.remote.model!r} on {self.remote.target}"


_OURS = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)
"""The other server, the model on it or our right to ask it is missing."""


def _code(error: Any) -> grpc.StatusCode:
    """The status; what a blocking call raises is a ``grpc.Call`` as well, which no type says."""
    code: grpc.StatusCode = error.code()
    return code


def _details(error: Any) -> str:
    return (error.details() or "")[:300]


def _certificates(authority: Path | None) -> bytes | None:
    if authority is None:
        return None
    try:
        return authority.read_bytes()
    except OSError as error:
        raise InvalidConfig(
            f"parameters[tls]: {authority} cannot be read: {error.strerror}"
        ) from error
