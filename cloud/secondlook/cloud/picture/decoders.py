"""Work on pictures beside the event loop: no more at once than there are threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from secondlook.cloud.picture.decode import decode_image
from secondlook.cloud.picture.header import sniff
from secondlook.shared.clock import Clock, Deadline, SystemClock
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import DeadlineExceeded, Overloaded
from secondlook.shared.values import ImageEncoding

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Decoders:
    """A bounded pool of decoding threads, one for all that a process is sent.

    Args:
        threads: pictures decoded at once.
        max_pixels: largest picture that is decoded.
        max_pending: most pictures that are decoded or wait for it.
        clock: the clock of the deadlines.
    """

    def __init__(
        self,
        threads: int = 2,
        max_pixels: int = 16_000_000,
        max_pending: int = 64,
        clock: Clock | None = None,
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
            Overloaded, DeadlineExceeded: see `run`.
        """
        return await self.run(deadline, self.pixels, data)

    async def run(
        self, deadline: Deadline, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What ``work`` returns, from a decoding thread; it may call `pixels`.

        Raises:
            Overloaded: too many wait already.
            DeadlineExceeded: its time was over before a thread was free; it did not run.
        """
        if self._pending >= self._max_pending:
            raise Overloaded(f"{self._pending} pictures wait to be decoded")

        def in_time() -> _T:
            if deadline.expired(self._clock):
                raise DeadlineExceeded()
            return work(*args, **kwargs)

        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, in_time)
        finally:
            self._pending -= 1

    def pixels(self, data: bytes, encoding: ImageEncoding | None = None) -> Image:
        """See `decode`; blocking, from a thread of `run`.

        Args:
            data: the picture.
            encoding: what it is said to be; ``None``: by its first bytes.

        Raises:
            InvalidInput: as `decode`.
        """
        return decode_image(data, encoding or sniff(data), self._max_pixels)

    def close(self) -> None:
        """Release the threads; what waits is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)
