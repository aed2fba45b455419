"""What runs one version of one model in one variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.shared.detect.protocol import Detector


class Backend(Protocol):
    """A loaded network on one device.

    Implementations MUST:
      - be callable from any one thread at a time; ``run`` and the detector share the device, and
        the batcher calls either from its one thread;
      - leave inputs untouched, and give outputs that nobody writes to afterwards;
      - give the same rows for an input whatever else is in its batch (within float error);
      - raise `ModelFailure` for what fails inside, and be usable afterwards;
      - raise `InvalidInput` for what never can work, before anything runs.
    """

    @property
    def signature(self) -> Signature:
        """What it takes and gives, as raw tensors."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``CPU``, ``CUDA:0``, or the address of a server."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What its weights take, as well as is known."""
        ...

    @property
    def detector(self) -> Detector | None:
        """The same network from image to boxes; ``None`` where it is no detector."""
        ...

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Run it once; ``outputs`` names those wanted, all where empty."""
        ...

    def warm_up(self) -> None:
        """Run it once on nothing in particular: the first caller shall not pay for it."""
        ...

    def close(self) -> None:
        """Release it; calls after this raise `Unavailable`. Safe to repeat."""
        ...
