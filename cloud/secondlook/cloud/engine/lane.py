"""One way of asking a network: raw tensors, or images. What the batcher puts together and runs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar

P = TypeVar("P", contravariant=True)
R = TypeVar("R")


class Lane(Protocol[P, R]):
    """Batches payloads of one kind for one backend."""

    def key(self, payload: P) -> Hashable:
        """Only payloads of equal key share a batch."""
        ...

    def rows(self, payload: P) -> int:
        """How many rows of a batch it takes."""
        ...

    def run(self, payloads: Sequence[P]) -> list[R | Exception]:
        """Answer each; in the batcher's thread of one instance.

        An answer that is an exception is that payload's alone. Whatever the call raises is the
        batch's: the batcher then asks for halves, down to one, so that a poisoned payload fails
        alone.
        """
        ...
