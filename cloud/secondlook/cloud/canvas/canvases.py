"""All canvases of a service: bounded, spread over decoding processes."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from dataclasses import dataclass

from secondlook.cloud.canvas.metrics import CanvasMetrics
from secondlook.cloud.canvas.process import DecoderProcess
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import CanvasUpdate


@dataclass(frozen=True, slots=True)
class Seen:
    """A decoded canvas.

    Attributes:
        picture: uint8 (h, w, 3) BGR; nobody else writes to it.
        decode_s: how long it took, seconds.
    """

    picture: Image
    decode_s: float


class Canvases:
    """Where streams have their canvases decoded. For one event loop.

    A canvas that was used longest ago is forgotten where there are too many, and so are those of a
    process that dies or hangs: their next update is answered by `StateLost`.

    Args:
        max_canvases: most canvases held at once.
        processes: decoding processes.
        max_pixels: largest canvas.
        timeout_s: longest time for one unit.
        metrics: where to count.
    """

    def __init__(
        self,
        max_canvases: int,
        processes: int,
        max_pixels: int,
        timeout_s: float,
        metrics: CanvasMetrics,
    ) -> None:
        self._max_canvases = max_canvases
        self._max_pixels = max_pixels
        self._metrics = metrics
        self._processes = [DecoderProcess(timeout_s, metrics.replaced) for _ in range(processes)]
        self._ids = itertools.count(1)
        self._held: OrderedDict[int, DecoderProcess] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def pids(self) -> list[int]:
        """Ids of the decoding processes that run now."""
        return [process.pid for process in self._processes if process.pid is not None]

    def new_id(self) -> int:
        """A number for a new canvas; nothing is held for it before its first update."""
        return next(self._ids)

    async def decode(self, canvas: int, update: CanvasUpdate, unit: bytes) -> Seen:
        """A canvas after an update.

        Raises:
            StateLost: the update builds on what is not there any more.
            InvalidInput: the canvas is too large, or the unit is malformed.
            Unavailable: no decoding process can be started.
        """
        if update.width * update.height > self._max_pixels:
            raise InvalidInput(
                f"canvas is {update.width}x{update.height}; "
                f"at most {self._max_pixels} pixels are accepted"
            )
        if canvas not in self._held:
            self._held[canvas] = min(self._processes, key=self._load)
            self._make_room()
        self._held.move_to_end(canvas)
        self._metrics.held(len(self._held))
        work = self._held[canvas].decode(canvas, update, unit)
        picture, decode_s = await asyncio.wrap_future(work)
        return Seen(picture, decode_s)

    def forget(self, canvas: int) -> None:
        """The stream of a canvas has ended."""
        process = self._held.pop(canvas, None)
        if process is not None:
            process.forget(canvas)
            self._metrics.held(len(self._held))

    def close(self) -> None:
        """End the decoding processes. Blocking, for as long as a process takes to die."""
        self._held.clear()
        for process in self._processes:
            process.close()

    def _load(self, process: DecoderProcess) -> int:
        return sum(held is process for held in self._held.values())

    def _make_room(self) -> None:
        while len(self._held) > self._max_canvases:
            oldest, process = self._held.popitem(last=False)
            process.forget(oldest)
            self._metrics.evicted()
