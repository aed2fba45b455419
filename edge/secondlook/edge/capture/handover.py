"""The decoder's end of the hand-over: slots, credits, and who wins when nobody takes frames."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace

from secondlook.edge.capture import messages
from secondlook.edge.capture.header import Counts, FrameHeader, Truth
from secondlook.edge.capture.ring import Image, RingWriter, slot_size

_MIN_SLOTS = 4
_MAX_RING_BYTES = 512 << 20  # huge frames get fewer slots rather than all the memory


class Stopped(Exception):
    """The agent has hung up or wants this process to end."""


class HandOver:
    """Gives frames to the agent, one for each credit that the agent grants.

    With ``block`` a frame is decoded only once there is a credit for it. With ``drop_oldest``
    decoding goes on: the newest frame waits in its slot, and a newer one takes its place. The
    agent is therefore always given the frame that is newest when it asks, however long it was
    busy, and is not even woken for those that it does not want.

    The decoding thread calls `slot`, `publish`, `flush`, `pause`; the control thread calls
    `obey`.
    """

    def __init__(self, connection: socket.socket, slots: int) -> None:
        self.block = False
        self.copied = 0
        self.skipped = 0
        self._connection = connection
        self._slots = slots
        self._changed = threading.Condition()
        self._ring: RingWriter | None = None
        self._generation = 0
        self._free: set[int] = set()
        self._credits = 0
        self._dropped = 0
        self._waiting: tuple[FrameHeader, Truth | None] | None = None
        self._names: tuple[str, ...] | None = None
        self._stopping = False

    @property
    def counts(self) -> Counts:
        """What was counted so far."""
        return Counts(self._dropped, self.skipped, self.copied)

    @property
    def stopping(self) -> bool:
        """Whether the agent has hung up or wants this process to end."""
        return self._stopping

    def slot(self, width: int, height: int) -> tuple[int, int, Image]:
        """Generation, slot and pixels to write the next frame into; waits where it must.

        Raises:
            Stopped: there will be no more frames.
        """
        with self._changed:
            if self._ring is None or slot_size(width, height) > self._ring.slot_bytes:
                self._grow(width, height)
            assert self._ring is not None
            if not self._free and self._waiting is not None:
                self._drop_waiting()
            self._wait_for(lambda: bool(self._free))
            slot = self._free.pop()
            return self._ring.generation, slot, self._ring.view(slot, width, height)

    def wait_for_credit(self) -> None:
        """With ``block``: wait until the agent wants a frame.

        Raises:
            Stopped: it never will.
        """
        if self.block:
            with self._changed:
                self._wait_for(lambda: self._credits > 0)

    def publish(self, header: FrameHeader, truth: Truth | None, names: tuple[str, ...]) -> None:
        """Hand the written slot over, now or when the agent asks.

        Raises:
            Stopped: the agent has hung up.
        """
        with self._changed:
            if truth is not None and names != self._names:
                self._names = names
                self.send(messages.names(names))
            if self._credits > 0:
                self._credits -= 1
                self._give(header, truth)
                return
            if self._waiting is not None:
                self._drop_waiting()
            self._waiting = (header, truth)

    def flush(self) -> None:
        """Wait until the agent has taken the last frame.

        Raises:
            Stopped: it never will.
        """
        with self._changed:
            self._wait_for(lambda: self._waiting is None)

    def abandon(self) -> None:
        """Drop the frame that waits, for the stream that it came from is gone."""
        with self._changed:
            if self._waiting is not None:
                self._drop_waiting()

    def pause(self, seconds: float) -> None:
        """Sleep, unless told to stop.

        Raises:
            Stopped: told to stop.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._stopping, timeout=seconds):
                raise Stopped

    def send(self, message: bytes) -> None:
        """Send a message to the agent.

        Raises:
            Stopped: the agent has hung up.
        """
        try:
            self._connection.send(message)
        except OSError:
            raise Stopped from None

    def obey(self, message: bytes) -> None:
        """Do what a message of the agent says; an empty one means that it has hung up."""
        with self._changed:
            if not message or message == messages.STOP:
                self._stopping = True
            elif message == messages.CREDIT:
                if self._waiting is not None:
                    header, truth = self._waiting
                    self._waiting = None
                    self._give(header, truth)
                else:
                    self._credits += 1
            else:
                generation, slot = messages.parse_release(message)
                if generation == self._generation:
                    self._free.add(slot)
            self._changed.notify_all()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._stopping or condition())
        if self._stopping:
            raise Stopped

    def _give(self, header: FrameHeader, truth: Truth | None) -> None:
        self.send(messages.frame(replace(header, counts=self.counts), truth))

    def _drop_waiting(self) -> None:
        assert self._waiting is not None
        header, _ = self._waiting
        self._waiting = None
        self._dropped += 1
        if header.generation == self._generation:
            self._free.add(header.slot)

    def _grow(self, width: int, height: int) -> None:
        """A new ring with larger slots. The agent keeps the old memory while it looks at it."""
        if self._waiting is not None:
            self._drop_waiting()
        self._generation += 1
        slot_bytes = slot_size(width, height)
        slots = max(_MIN_SLOTS, min(self._slots, _MAX_RING_BYTES // slot_bytes))
        self._ring = RingWriter(self._generation, slots, slot_bytes)
        self._free = set(range(slots))
        description = messages.ring(self._generation, slots, slot_bytes)
        try:
            socket.send_fds(self._connection, [description], [self._ring.descriptor])
        except OSError:
            raise Stopped from None
        self._ring.close()
