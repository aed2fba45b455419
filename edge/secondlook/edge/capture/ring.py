"""Frames in shared memory: the decoder writes a slot, hands it over, and gets it back.

A slot has one owner at a time, and ownership moves only with a message on the control socket, so
nobody ever sees a torn frame. The memory is an anonymous file that goes over that socket as a
descriptor; it is sealed against resizing, so that a decoder gone bad cannot pull it away.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import weakref
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import SourceError

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_PAGE = mmap.PAGESIZE

Image = npt.NDArray[np.uint8]


def slot_size(width: int, height: int) -> int:
    """Bytes of a slot for BGR frames of that size, whole pages."""
    return -(-width * height * 3 // _PAGE) * _PAGE


class RingWriter:
    """The decoder's side.

    Attributes:
        generation: number of the ring in its process; a larger frame makes a new one.
        slots: number of slots.
        slot_bytes: bytes of each.
        descriptor: of the shared memory; the receiver gets its own duplicate.
    """

    def __init__(self, generation: int, slots: int, slot_bytes: int) -> None:
        self.generation = generation
        self.slots = slots
        self.slot_bytes = slot_bytes
        self.descriptor = os.memfd_create(
            "secondlook-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        )
        os.ftruncate(self.descriptor, slots * slot_bytes)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self._memory = np.frombuffer(mmap.mmap(self.descriptor, slots * slot_bytes), np.uint8)

    def view(self, slot: int, width: int, height: int) -> Image:
        """The pixels of a slot that this side owns, to be written."""
        start = slot * self.slot_bytes
        pixels = self._memory[start : start + width * height * 3]
        return pixels.reshape(height, width, 3)

    def close(self) -> None:
        """Give up the descriptor; the memory goes when both sides have let go of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class RingReader:
    """The agent's side: lends frames as read-only arrays that give their slot back by themselves.

    Args:
        descriptor: of the shared memory; taken over and closed.
        generation: see `RingWriter`.
        slots: number of slots.
        slot_bytes: bytes of each.
        give_back: called with generation and slot once nothing refers to a lent frame any more,
            from whatever thread dropped it last.

    Raises:
        SourceError: the memory is not what it should be; the decoder has gone bad.
    """

    def __init__(
        self,
        descriptor: int,
        generation: int,
        slots: int,
        slot_bytes: int,
        give_back: Callable[[int, int], None],
    ) -> None:
        self.generation = generation
        self.slots = slots
        self.slot_bytes = slot_bytes
        self._give_back = give_back
        self._lent: set[int] = set()
        try:
            sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
            if not sealed or os.fstat(descriptor).st_size != slots * slot_bytes:
                raise SourceError("the capture process shared memory of the wrong size")
            self._map = mmap.mmap(descriptor, slots * slot_bytes, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise SourceError(f"the capture process shared no usable memory: {error}") from None
        finally:
            os.close(descriptor)

    @property
    def lent(self) -> int:
        """Slots that someone still looks at."""
        return len(self._lent)

    def lend(self, slot: int, width: int, height: int) -> Image:
        """The frame in ``slot``, uint8 (height, width, 3), read-only, without a copy.

        The slot goes back to the decoder when the array and all views of it are gone.
        """
        if not 0 <= slot < self.slots or width * height * 3 > self.slot_bytes:
            raise SourceError(f"the capture process named a slot that cannot be: {slot}")
        if slot in self._lent:
            raise SourceError(f"the capture process handed slot {slot} over twice")
        # A memory map cannot be weakly referred to, and numpy lets views refer to the array
        # that wraps it, however deep: that array is what lives exactly as long as the loan.
        whole = np.frombuffer(
            self._map, np.uint8, count=width * height * 3, offset=slot * self.slot_bytes
        )
        self._lent.add(slot)
        loan = weakref.finalize(whole, self._returned, slot)
        loan.atexit = False
        return whole.reshape(height, width, 3)

    def _returned(self, slot: int) -> None:
        self._lent.discard(slot)
        self._give_back(self.generation, slot)
