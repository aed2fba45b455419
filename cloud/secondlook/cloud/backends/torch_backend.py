"""Networks in torch, as raw tensors and from image to boxes, over one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from secondlook.cloud.backends.base import NetworkBackend, signature_of, values_of
from secondlook.cloud.backends.checks import described_for
from secondlook.cloud.backends.torch_program import (
    TorchProgram,
    by_number,
    find_device,
    load_program,
    to_array,
)
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import Release
from secondlook.shared.detect.network import Buffer, widened
from secondlook.shared.detect.session import file_digest
from secondlook.shared.errors import InvalidModel, ModelFailure


class TorchBackend(NetworkBackend):
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

    _network: TorchNetwork

    def __init__(self, program: TorchProgram, release: Release, order: Sequence[str]) -> None:
        config = release.config
        text = [spec.name for spec in (*config.inputs, *config.outputs) if spec.dtype == "BYTES"]
        if text:
            raise InvalidModel(
                f"model {release.file}: {text[0]!r} is configured as text; torch has no such tensor"
            )
        super().__init__(
            TorchNetwork(program, release, signature_of(release), order),
            release,
            program.metadata,
            device=str(program.device).upper(),
            memory_bytes=program.memory_bytes,
        )

    def warm_up(self) -> None:
        """See `Backend.warm_up`; twice: TorchScript optimises what it saw in its first run."""
        super().warm_up()
        super().warm_up()

    def _run(self, inputs: Tensors, names: tuple[str, ...], rows: int) -> dict[str, Array]:
        tensors = self._network.call(inputs)
        return {name: to_array(tensors[name], own=True) for name in names}


class TorchNetwork:
    """See `Network`; `TorchBackend.run` calls the same program. Inputs in the program's order.

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
        self._program: TorchProgram | None = program
        self.provider: str = program.device.type.upper()
        arguments = program.argument_names
        names = [spec.name for spec in signature.inputs]
        if arguments and len(arguments) != len(names):
            raise InvalidModel(
                f"model {release.file} takes {len(arguments)} inputs "
                f"({', '.join(arguments)}); {len(names)} are configured"
            )
        in_order = list(arguments) if set(arguments) == set(names) else by_number(names)
        specs = {spec.name: spec for spec in signature.inputs}
        self.inputs = values_of([specs[name] for name in in_order], signature.max_batch)
        self._bits = [specs[name].dtype == "BF16" for name in in_order]
        self.outputs = values_of(signature.outputs, signature.max_batch)
        # A file that tells its outputs may have more of them than are configured.
        self._order = list(order) or by_number([spec.name for spec in signature.outputs])

    def call(self, inputs: Tensors) -> Mapping[str, Any]:
        """Its outputs, by name, as tensors.

        Raises:
            ModelFailure: it failed, or gave fewer outputs than it must.
        """
        assert self._program is not None
        given = self._program([inputs[value.name] for value in self.inputs], self._bits)
        named: dict[str, Any] = {pair[0]: pair[1] for pair in given if isinstance(pair, tuple)}
        found = named or dict(zip(self._order, given, strict=False))
        for value in self.outputs:
            if value.name not in found:
                raise ModelFailure(
                    f"gave {len(given)} outputs ({', '.join(named) or 'without names'}); "
                    f"{value.name!r} is not among them"
                )
        return found

    def run(self, feed: Mapping[str, Buffer], batch: int) -> list[Buffer]:
        """See `Network.run`."""
        given = self.call({name: array[:batch] for name, array in feed.items()})
        return widened(to_array(given[value.name], own=False) for value in self.outputs)

    def close(self) -> None:
        """See `Network.close`."""
        self._program = None


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
    described = described_for(file, "pytorch")
    whole = complete(config, described, file, batch_said=bool(config.inputs or config.max_batch))
    program = load_program(file, find_device(kind, device), threads)
    return TorchBackend(
        program,
        replace(release, config=whole, digest=release.digest or digest),
        [tensor.name for tensor in described.outputs],
    )
