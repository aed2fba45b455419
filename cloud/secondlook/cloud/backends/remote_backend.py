"""Networks on another server that speaks the Open Inference Protocol: Triton, KServe, ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from secondlook.cloud.backends import checks
from secondlook.cloud.backends.checks import Checks
from secondlook.cloud.backends.declared import detector_over, read_declared
from secondlook.cloud.backends.remote_client import RemoteClient, read_remote
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, Tensors, TensorSpec
from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.detect.network import Buffer, Value
from secondlook.shared.detect.protocol import Detector
from secondlook.shared.errors import InvalidModel, ModelFailure


class RemoteBackend:
    """See `Backend`. Made by `open_remote`; pictures are prepared and boxes read here.

    Args:
        client: asks the model.
        release: its configuration is complete with inputs and outputs.

    Raises:
        InvalidModel: parameters call it a detector, but it cannot be read as one.
        InvalidConfig: a parameter that cannot be.
    """

    def __init__(self, client: RemoteClient, release: Release) -> None:
        config = release.config
        self._client = client
        self._signature = Signature(config.inputs, config.outputs, config.max_batch)
        self._datatypes = {spec.name: spec.dtype for spec in config.inputs}
        self._checks = Checks(release, self._signature)
        self._closed = False
        self._detector = detector_over(
            RemoteNetwork(client, self._signature),
            release,
            read_declared(config),
            {},
            config.max_batch or 1,
        )

    @property
    def signature(self) -> Signature:
        """See `Backend.signature`."""
        return self._signature

    @property
    def device(self) -> str:
        """See `Backend.device`: the server's address."""
        return self._client.remote.target

    @property
    def memory_bytes(self) -> int:
        """See `Backend.memory_bytes`: none of this machine's."""
        return 0

    @property
    def detector(self) -> Detector | None:
        """See `Backend.detector`."""
        return self._detector

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """See `Backend.run`.

        Raises:
            Overloaded, DeadlineExceeded, Unavailable: as the other server says.
        """
        if self._closed:
            raise self._checks.closed()
        rows = self._signature.rows(inputs)
        names = self._checks.wanted(outputs)
        feed = {name: (self._datatypes[name], array) for name, array in inputs.items()}
        try:
            given = self._client.infer(feed, names)
        except ModelFailure as error:
            raise self._checks.failure(error.message) from error
        self._checks.given(given, rows)
        return given

    def warm_up(self) -> None:
        """See `Backend.warm_up`."""
        detect = None if self._detector is None else self._detector.warm_up
        checks.warm_up(self._signature, detect, self.run)

    def close(self) -> None:
        """See `Backend.close`."""
        self._closed = True
        self._client.close()
        if self._detector is not None:
            self._detector.close()


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
        lead = (None,) * bool(signature.max_batch)
        self._client = client
        self._inputs = tuple(_value(spec, lead) for spec in signature.inputs)
        self._outputs = tuple(_value(spec, lead) for spec in signature.outputs)
        self._names = tuple(value.name for value in self._outputs)

    @property
    def inputs(self) -> Sequence[Value]:
        """See `Network.inputs`."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[Value]:
        """See `Network.outputs`."""
        return self._outputs

    @property
    def provider(self) -> str:
        """See `Network.provider`; what runs it there is not known here."""
        return "remote"

    def run(self, feed: Mapping[str, Buffer], batch: int) -> list[Buffer]:
        """See `Network.run`."""
        inputs = {value.name: (value.kind, feed[value.name][:batch]) for value in self._inputs}
        given = self._client.infer(inputs, self._names)
        arrays = (given[name] for name in self._names)
        return [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]

    def close(self) -> None:
        """See `Network.close`."""
        self._client.close()


def _value(spec: TensorSpec, lead: tuple[None, ...]) -> Value:
    shape = tuple(None if length == -1 else length for length in spec.shape)
    numbers = spec.dtype not in ("BYTES", "BF16", "BOOL")
    return Value(spec.name, spec.dtype, DTYPES[spec.dtype] if numbers else None, (*lead, *shape))


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
    except BaseException:
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
