"""What every backend over a network does alike: what it is, and the way of one run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from secondlook.cloud.backends.checks import Checks, blank
from secondlook.cloud.backends.declared import detector_over, read_declared
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, Tensors, TensorSpec
from secondlook.cloud.repository.config import Release
from secondlook.shared.detect.network import Network, Value
from secondlook.shared.detect.protocol import Detector
from secondlook.shared.errors import ModelFailure


class NetworkBackend(ABC):
    """See `Backend`: a network for raw tensors, and the detector over it where it is one.

    Args:
        network: what the detector runs; closed with it.
        release: what it was opened from; its configuration is complete with inputs and outputs.
        metadata: what the file says of itself.
        device: see `Backend.device`.
        memory_bytes: see `Backend.memory_bytes`.
        free: outputs whose number of axes is not known.

    Raises:
        InvalidModel: parameters call it a detector, but it cannot be read as one.
        InvalidConfig: a parameter that cannot be.
    """

    def __init__(
        self,
        network: Network,
        release: Release,
        metadata: Mapping[str, str],
        *,
        device: str,
        memory_bytes: int,
        free: Iterable[str] = (),
    ) -> None:
        self.signature = signature_of(release)
        self.device = device
        self.memory_bytes = memory_bytes
        self._network = network
        self._checks = Checks(release, self.signature, free)
        self._closed = False
        self.detector: Detector | None = detector_over(
            network, release, read_declared(release.config), metadata, release.config.max_batch or 1
        )

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """See `Backend.run`. Numbers that are not finite are handed on as the network gave them."""
        if self._closed:
            raise self._checks.closed()
        rows = self.signature.rows(inputs)
        names = self._checks.wanted(outputs)
        try:
            given = self._run(inputs, names, rows)
        except ModelFailure as error:
            raise self._checks.failure(error.message) from error
        self._checks.given(given, rows)
        return given

    def warm_up(self) -> None:
        """See `Backend.warm_up`: as a detector where it is one, and with tensors."""
        if self.detector is not None:
            self.detector.warm_up()
        feed = blank(self.signature)
        if feed is not None:
            self.run(feed)

    def close(self) -> None:
        """See `Backend.close`."""
        self._closed = True
        self._network.close()
        if self.detector is not None:
            self.detector.close()

    @abstractmethod
    def _run(self, inputs: Tensors, names: tuple[str, ...], rows: int) -> dict[str, Array]:
        """Run it on inputs that are right; a failure does not name the model."""


def signature_of(release: Release) -> Signature:
    """What a model with a complete configuration takes and gives."""
    config = release.config
    return Signature(config.inputs, config.outputs, config.max_batch)


def values_of(specs: Iterable[TensorSpec], max_batch: int) -> tuple[Value, ...]:
    """Inputs or outputs as a detector wants them described."""
    lead = (None,) * bool(max_batch)
    return tuple(
        Value(
            spec.name,
            spec.dtype,
            None if spec.dtype in ("BYTES", "BF16", "BOOL") else DTYPES[spec.dtype],
            (*lead, *(None if length == -1 else length for length in spec.shape)),
        )
        for spec in specs
    )
