"""Networks on another server that speaks the Open Inference Protocol: Triton, KServe, ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from secondlook.cloud.backends.base import NetworkBackend, signature_of, values_of
from secondlook.cloud.backends.remote_client import RemoteClient, read_remote
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, Tensors
from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.detect.network import Buffer, widened
from secondlook.shared.errors import InvalidModel


class RemoteBackend(NetworkBackend):
    """See `Backend`. Made by `open_remote`; pictures are prepared and boxes read here.

    A run raises as well what the other server says: `Overloaded`, `DeadlineExceeded`,
    `Unavailable`.

    Args:
        client: asks the model.
        release: its configuration is complete with inputs and outputs.

    Raises:
        InvalidModel: parameters call it a detector, but it cannot be read as one.
        InvalidConfig: a parameter that cannot be.
    """

    def __init__(self, client: RemoteClient, release: Release) -> None:
        self._client = client
        self._datatypes = {spec.name: spec.dtype for spec in release.config.inputs}
        network = RemoteNetwork(client, signature_of(release))
        # None of the memory is this machine's.
        super().__init__(network, release, {}, device=client.remote.target, memory_bytes=0)

    def _run(self, inputs: Tensors, names: tuple[str, ...], rows: int) -> dict[str, Array]:
        feed = {name: (self._datatypes[name], array) for name, array in inputs.items()}
        return self._client.infer(feed, names)


class AskRemote(Protocol):
    """Asks a model elsewhere; see `RemoteClient`."""

    def infer(
        self, inputs: Mapping[str, tuple[str, Array]], outputs: tuple[str, ...]
    ) -> dict[str, Array]:
        """Run it once."""
        ...

    def close(self) -> None:
        """It is not asked any more."""
        ...


class RemoteNetwork:
    """See `Network`: for the detector that runs elsewhere.

    Args:
        client: asks the model.
        signature: what it takes and gives.
    """

    def __init__(self, client: AskRemote, signature: Signature) -> None:
        self._client = client
        self.inputs = values_of(signature.inputs, signature.max_batch)
        self.outputs = values_of(signature.outputs, signature.max_batch)
        # What runs it there is not known here.
        self.provider = "remote"
        self._names = tuple(value.name for value in self.outputs)

    def run(self, feed: Mapping[str, Buffer], batch: int) -> list[Buffer]:
        """See `Network.run`."""
        inputs = {value.name: (value.kind, feed[value.name][:batch]) for value in self.inputs}
        given = self._client.infer(inputs, self._names)
        return widened(given[name] for name in self._names)

    def close(self) -> None:
        """See `Network.close`."""
        self._client.close()


def open_remote(release: Release) -> RemoteBackend:
    """Find a model on another server.

    Args:
        release: its parameters say where; its file is not looked at.

    Raises:
        InvalidConfig: a parameter that cannot be.
        InvalidModel: what the server says of the model contradicts the configuration.
        Unavailable: the server cannot be reached, or does not have the model ready.
    """
    config = release.config
    client = RemoteClient(read_remote(config))
    try:
        described = describe(client.metadata())
        said = bool(config.inputs or config.max_batch)
        if not said:
            told = client.max_batch()
            said = told is not None
            config = replace(config, max_batch=told or 0)
        whole = complete(config, described, release.file, batch_said=said)
        return RemoteBackend(client, replace(release, config=whole))
    except BaseException:  # also an interrupt: the connection is closed, and the error goes on
        client.close()
        raise


def describe(told: pb.ModelMetadataResponse) -> Description:
    """What a server says that a model takes and gives.

    Raises:
        InvalidModel: a datatype that the protocol does not have.
    """
    return Description("remote", _tensors(told.inputs), _tensors(told.outputs))


def _tensors(told: Sequence[pb.ModelMetadataResponse.TensorMetadata]) -> tuple[FileTensor, ...]:
    for tensor in told:
        if tensor.datatype not in DTYPES:
            raise InvalidModel(f"{tensor.name!r} is a {tensor.datatype[:40]!r}; no such type")
    return tuple(FileTensor(t.name, t.datatype, tuple(t.shape)) for t in told)
