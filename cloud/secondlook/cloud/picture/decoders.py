"""Decodes pictures beside the event loop, no more at once than there are threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from secondlook.cloud.picture.decode import decode_image
from secondlook.cloud.picture.header import sniff
from secondlook.shared.clock import Clock, Deadline, SystemClock
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import DeadlineExceeded, Overloaded


class Decoders:
    """A bounded pool of decoding threads.

    Args:
        threads: pictures decoded at once.
        max_pixels: largest picture that is decoded.
        max_pending: most pictures that are decoded or wait for it.
        clock: the clock of the deadlines.
    """

    def __init__(
        self, threads: int, max_pixels: int, max_pending: int, clock: Clock | None = None
    ) -> None:
        self._max_pixels = max_pixels
        self._max_pending = max_pending
        self._clock = clock or SystemClock()
        self._pending = 0
        self._pool = ThreadPoolExecutor(threads, "decode")

    async def decode(self, data: bytes, deadline: Deadline) -> Image:
        """The pixels of a JPEG, PNG or WebP, uint8 (h, w, 3) BGR.

        Raises:
            InvalidInput: no such picture, cut short, too large, or broken inside.
            Overloaded: too many wait already.
            DeadlineExceeded: its time was over before a thread was free; it was not decoded.
        """
        if self._pending >= self._max_pending:
            raise Overloaded(f"{self._pending} pictures wait to be decoded")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._decode, data, deadline
            )
        finally:
            self._pending -= 1

    def _decode(self, data: bytes, deadline: Deadline) -> Image:
        if deadline.expired(self._clock):
            raise DeadlineExceeded("the answer would come too late to be useful")
        return decode_image(data, sniff(data), self._max_pixels)

    def close(self) -> None:
        """Release the threads; what waits is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)
