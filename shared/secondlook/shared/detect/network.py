"""What a detector needs of the network in it, whatever runs that network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Buffer = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Value:
    """One input or output, as the network describes it.

    Attributes:
        name: what the network calls it.
        kind: what its runtime calls its type, for people.
        dtype: of its elements; ``None`` for types that no detector uses.
        shape: lengths, the batch axis first; ``None`` where a length is open; empty where the
            number of axes is unknown.
    """

    name: str
    kind: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        shown = ", ".join("?" if length is None else str(length) for length in self.shape)
        return f"{self.name} {self.kind} [{shown}]"


class Network(Protocol):
    """A network on one device.

    Implementations MUST:
      - read the inputs in place, and write to none of them;
      - raise `ModelFailure` for whatever fails inside (what was tried, and why; not the model's
        name), and be usable afterwards;
      - be callable from any one thread at a time.
    """

    @property
    def inputs(self) -> Sequence[Value]:
        """What it takes."""
        ...

    @property
    def outputs(self) -> Sequence[Value]:
        """What it gives."""
        ...

    @property
    def provider(self) -> str:
        """What really runs it ("CPU", "CUDA", "TensorRT", ...)."""
        ...

    def run(self, feed: Mapping[str, Buffer], batch: int) -> list[Buffer]:
        """Run it on the first ``batch`` rows of each array.

        Args:
            feed: every input by name; contiguous. The caller gives the same mapping over the same
                memory call after call, and another one when it needs more rows: what was bound to
                the old one can be forgotten then.
            batch: how many rows.

        Returns:
            One array per output, in order, half precision widened; valid until the next call.

        Raises:
            ModelFailure: it failed.
            Overloaded, DeadlineExceeded, Unavailable: it runs on another machine, which says so.
        """
        ...

    def close(self) -> None:
        """Release it. Safe to repeat."""
        ...


def widened(arrays: Iterable[Buffer]) -> list[Buffer]:
    """Outputs as `Network.run` gives them: half precision as single precision."""
    return [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
