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

from secondlook.cloud.backends.remote_protocol import (
    MESSAGE_SIZES,
    MissingMethod,
    error_of,
    outputs_of,
    read_authority,
    request_of,
)
from secondlook.cloud.engine.tensors import Array
from secondlook.cloud.repository.config import ModelConfig
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    ModelFailure,
    NotFound,
    SecondlookError,
    Unavailable,
)

TIMEOUT_S = 10.0
MAX_TIMEOUT_S = 600.0

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
            *MESSAGE_SIZES,
            # Several instances shall not share one connection.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if remote.tls:
            credentials = grpc.ssl_channel_credentials(
                read_authority(remote.authority, "parameters[tls]")
            )
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
        try:
            told = self._call(self._stub.ModelReady, ready, wait=True)
        except ModelFailure as error:
            # MLServer answers UNKNOWN where it does not have the model.
            raise Unavailable(error.message) from error
        if not told.ready:
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
        request = request_of(remote.model, remote.version, inputs, outputs)
        return outputs_of(self._call(self._stub.ModelInfer, request), outputs)

    def close(self) -> None:
        """End the channel; a call that is under way fails. Safe to repeat."""
        self._closed = True
        self._channel.close()

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
        code = _code(error)
        if self._closed or code is grpc.StatusCode.CANCELLED:
            return Unavailable(f"{self._who()}: the connection is closed")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"{self._who()} did not answer in {self.remote.timeout_s:g} s")
        mapped = error_of(code, self._who(), _details(error))
        if isinstance(mapped, NotFound | MissingMethod):
            return Unavailable(mapped.message)
        return mapped

    def _who(self) -> str:
        return f"model {self.remote.model!r} on {self.remote.target}"


def _code(error: Any) -> grpc.StatusCode:
    """The status; what a blocking call raises is a ``grpc.Call`` as well, which no type says."""
    code: grpc.StatusCode = error.code()
    return code


def _details(error: Any) -> str | None:
    details: str | None = error.details()
    return details
