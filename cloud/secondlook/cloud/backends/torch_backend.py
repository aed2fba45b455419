"""Networks in torch, as raw tensors and from image to boxes, over one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from secondlook.cloud.backends import checks
from secondlook.cloud.backends.checks import Checks
from secondlook.cloud.backends.declared import detector_over, read_declared
from secondlook.cloud.backends.torch_program import (
    TorchProgram,
    by_number,
    find_device,
    load_program,
    to_array,
)
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, Tensors, TensorSpec
from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.description import describe
from secondlook.shared.detect.network import Buffer, Value
from secondlook.shared.detect.protocol import Detector
from secondlook.shared.detect.session import file_digest
from secondlook.shared.errors import InvalidModel, ModelFailure


class TorchBackend:
    """See `Backend`. Made by `open_torch`.

    Args:
        program: what runs.
        release: its configuration is complete with inputs and outputs.
        order: names of the program's outputs, in order, as far as the file tells them.

    Raises:
        InvalidModel: the program takes other inputs than are configured; parameters call it a
            detector, but it cannot be read as one.
        InvalidConfig: a parameter that cannot be.
    """

    def __init__(self, program: TorchProgram, release: Release, order: Sequence[str]) -> None:
        config = release.config
        text = [spec.name for spec in (*config.inputs, *config.outputs) if spec.dtype == "BYTES"]
        if text:
            raise InvalidModel(
                f"model {release.file}: {text[0]!r} is configured as text; torch has no such tensor"
            )
        self._program: TorchProgram | None = program
        self._memory_bytes = program.memory_bytes
        self._device = str(program.device).upper()
        self._signature = Signature(config.inputs, config.outputs, config.max_batch)
        self._checks = Checks(release, self._signature)
        self._network = TorchNetwork(program, release, self._signature, order)
        self._detector = detector_over(
            self._network,
            release,
            read_declared(config),
            program.metadata,
            config.max_batch or 1,
        )

    @property
    def signature(self) -> Signature:
        """See `Backend.signature`."""
        return self._signature

    @property
    def device(self) -> str:
        """See `Backend.device`."""
        return self._device

    @property
    def memory_bytes(self) -> int:
        """See `Backend.memory_bytes`."""
        return self._memory_bytes

    @property
    def detector(self) -> Detector | None:
        """See `Backend.detector`."""
        return self._detector

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """See `Backend.run`. Numbers that are not finite are handed on as the network gave them."""
        if self._program is None:
            raise self._checks.closed()
        rows = self._signature.rows(inputs)
        names = self._checks.wanted(outputs)
        try:
            tensors = self._network.call(inputs)
            given = {name: to_array(tensors[name], own=True) for name in names}
        except ModelFailure as error:
            raise self._checks.failure(error.message) from error
        self._checks.given(given, rows)
        return given

    def warm_up(self) -> None:
        """See `Backend.warm_up`; twice: TorchScript optimises what it saw in its first run."""
        detect = None if self._detector is None else self._detector.warm_up
        for _ in range(2):
            checks.warm_up(self._signature, detect, self.run)

    def close(self) -> None:
        """See `Backend.close`."""
        self._program = None
        self._network.close()
        if self._detector is not None:
            self._detector.close()


class TorchNetwork:
    """See `Network`; `TorchBackend.run` calls the same program.

    Args:
        program: what runs.
        release: names the file in messages.
        signature: what it takes and gives.
        order: names of its outputs, in order, as far as the file tells them.

    Raises:
        InvalidModel: the program takes another number of inputs than are configured.
    """

    def __init__(
        self,
        program: TorchProgram,
        release: Release,
        signature: Signature,
        order: Sequence[str],
    ) -> None:
        lead = (None,) * bool(signature.max_batch)
        self._program: TorchProgram | None = program
        self._provider: str = program.device.type.upper()
        arguments = program.argument_names
        names = [spec.name for spec in signature.inputs]
        if arguments and len(arguments) != len(names):
            raise InvalidModel(
                f"model {release.file} takes {len(arguments)} inputs "
                f"({', '.join(arguments)}); {len(names)} are configured"
            )
        in_order = list(arguments) if set(arguments) == set(names) else by_number(names)
        specs = {spec.name: spec for spec in signature.inputs}
        self._inputs = tuple(_value(specs[name], lead) for name in in_order)
        self._bits = [specs[name].dtype == "BF16" for name in in_order]
        self._outputs = tuple(_value(spec, lead) for spec in signature.outputs)
        # A file that tells its outputs may have more of them than are configured.
        self._order = list(order) or by_number([spec.name for spec in signature.outputs])

    @property
    def inputs(self) -> Sequence[Value]:
        """See `Network.inputs`; in the order of the program's arguments."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[Value]:
        """See `Network.outputs`."""
        return self._outputs

    @property
    def provider(self) -> str:
        """See `Network.provider`."""
        return self._provider

    def call(self, inputs: Tensors) -> Mapping[str, Any]:
        """Its outputs, by name, as tensors.

        Raises:
            ModelFailure: it failed, or gave fewer outputs than it must.
        """
        assert self._program is not None
        given = self._program([inputs[value.name] for value in self._inputs], self._bits)
        named: dict[str, Any] = {pair[0]: pair[1] for pair in given if isinstance(pair, tuple)}
        found = named or dict(zip(self._order, given, strict=False))
        for value in self._outputs:
            if value.name not in found:
                raise ModelFailure(
                    f"gave {len(given)} outputs ({', '.join(named) or 'without names'}); "
                    f"{value.name!r} is not among them"
                )
        return found

    def run(self, feed: Mapping[str, Buffer], batch: int) -> list[Buffer]:
        """See `Network.run`."""
        given = self.call({name: array[:batch] for name, array in feed.items()})
        arrays = (to_array(given[value.name], own=False) for value in self._outputs)
        return [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]

    def close(self) -> None:
        """See `Network.close`."""
        self._program = None


def _value(spec: TensorSpec, lead: tuple[None, ...]) -> Value:
    shape = tuple(None if length == -1 else length for length in spec.shape)
    dtype = None if spec.dtype == "BF16" else DTYPES[spec.dtype]
    return Value(spec.name, spec.dtype, dtype, (*lead, *shape))


def open_torch(release: Release, *, kind: str, device: int, threads: int) -> TorchBackend:
    """Load an exported program or a TorchScript file.

    Args:
        release: what to load; the configuration of a TorchScript file names inputs and outputs.
        kind: ``auto``, ``cpu`` or ``gpu``.
        device: index of the GPU.
        threads: threads of one operator on the CPU; 0 leaves them to torch.

    Raises:
        InvalidModel: the file is missing or broken, or contradicts the configuration.
        InvalidConfig: there is no such device; a parameter that cannot be.
    """
    file, config = release.file, release.config
    digest = file_digest(file)
    described = describe(file)
    if described.backend != "pytorch":
        raise InvalidModel(
            f"model {file} is for backend {described.backend!r}, not for pytorch",
            remedy="name that backend in config.pbtxt",
        )
    said = bool(config.inputs or config.max_batch)
    whole = complete(config, described, file, batch_said=said)
    program = load_program(file, find_device(kind, device), threads)
    return TorchBackend(
        program,
        replace(release, config=whole, digest=release.digest or digest),
        [tensor.name for tensor in described.outputs],
    )
