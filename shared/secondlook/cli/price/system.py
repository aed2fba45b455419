"""What a system under comparison is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from secondlook.cli.price.ledger import Ledger
from secondlook.shared.values import Detections, Frame


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame of the clip, as every system gets it.

    Attributes:
        index: place among the analysed frames, from 0.
        frame: the frame; captured at ``media_s`` of the clip's own clock.
        media_s: time in the clip, seconds.
        light: the light model's boxes, from a low score on.
        light_s: seconds the light model took.
        reference: what the cloud model sees in the untouched frame; only the oracle may look.
    """

    index: int
    frame: Frame
    media_s: float
    light: Detections
    light_s: float
    reference: Detections | None = None


class System(Protocol):
    """One way to get answers. Sees each frame once, in order."""

    ledger: Ledger

    async def see(self, shot: Shot) -> None:
        """The next frame: append an answer to the ledger."""
        ...

    async def finish(self) -> None:
        """The clip is over: take in what is still on its way, and settle the traffic."""
        ...
