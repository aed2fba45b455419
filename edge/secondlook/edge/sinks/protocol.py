"""What a sink is, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Observation


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """An answer or a revision.

    Attributes:
        observation: what stands; ``revision`` 0 is the answer.
        media_s: time of the frame in its stream, seconds.
        image: uint8 (height, width, 3), BGR, the frame; only with answers, and only for sinks
            that want it. Not to be written to.
    """

    observation: Observation
    media_s: float
    image: npt.NDArray[np.uint8] | None = None


class Sink(Protocol):
    """Writes events somewhere. Blocking; used by one thread at a time.

    Implementations MUST:
      - raise `OSError` or `SecondlookError` when they cannot write, and be usable afterwards;
      - write whole events or nothing that a reader could mistake for one;
      - not keep ``image`` after the call; a copy may be kept.
    """

    @property
    def name(self) -> str:
        """For logs and metrics."""
        ...

    @property
    def wants_images(self) -> bool:
        """Whether events need their image."""
        ...

    def write(self, events: Sequence[Event]) -> None:
        """Write events, in order; all of them are handed over, also when this raises."""
        ...

    def close(self) -> None:
        """Write what is held back, and let go. Safe to repeat."""
        ...
