"""The capture process: ``python -m secondlook.edge.capture.worker DESCRIPTOR``.

Decodes one camera and hands the frames to the agent. When a decoder aborts, only this process
dies; when the agent dies, its end of the socket closes and this process ends by itself.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time

import numpy as np

from secondlook.edge.capture import messages
from secondlook.edge.capture.handover import HandOver, Stopped
from secondlook.edge.capture.header import FrameHeader, Truth
from secondlook.edge.capture.messages import Order
from secondlook.edge.capture.protocol import FrameSource, SourceFactory, SourceInfo
from secondlook.edge.capture.timeline import DEFAULT_FPS, Sampler
from secondlook.shared.errors import InvalidInput, SecondlookError, SourceError
from secondlook.shared.redaction import redact

LEAVE_S = 2.0
"""Seconds that a decoder gets to close its connection once the agent has hung up."""

_ALIVE_EVERY_S = 0.5
_LATE_S = 1.0


class Player:
    """Plays one source into a `HandOver`: skips, samples, paces, loops, numbers the frames."""

    def __init__(self, order: Order, out: HandOver) -> None:
        self._order = order
        self._out = out
        self._sampler = Sampler(order.analysis_fps)
        self._sequence = order.sequence - order.skip
        self._offset_s = order.media_offset_s
        self._media_s = order.media_offset_s
        self._anchor_s: float | None = None
        self._spoke_s = time.monotonic()
        self._decode_s = 0.0
        self._live = False

    def play(self) -> None:
        """Play until the stream ends.

        Raises:
            Stopped: the agent wants no more.
            SecondlookError: the source cannot go on.
        """
        while True:
            source = _factory(self._order.factory)(self._order.url, self._order.options)
            try:
                frames, info = self._play_once(source)
            finally:
                source.close()
            if not self._order.loop or info.live:
                self.settle()
                self._out.send(messages.ENDED)
                return
            if not frames:
                raise SourceError("the recording has no frames, so it cannot be looped")
            self._offset_s = self._media_s + 1.0 / (info.fps or DEFAULT_FPS)
            self._out.send(messages.looped(self._sequence, self._offset_s))

    def settle(self) -> None:
        """Before the last word: let the agent have the last frame, and all counts.

        The last frame of a live stream is dropped instead: who does not take it now must not
        keep the agent from learning that the stream is gone.

        Raises:
            Stopped: the agent wants no more.
        """
        if self._live:
            self._out.abandon()
        else:
            self._out.flush()
        self._out.send(messages.quiet(0.0, self._out.counts))

    def _play_once(self, source: FrameSource) -> tuple[int, SourceInfo]:
        info = source.open()
        order, out = self._order, self._out
        self._live = live = info.live
        out.block = (order.overflow or _fitting(order, live)) == "block"
        out.send(messages.opened(info, "block" if out.block else "drop_oldest"))
        first = self._sequence
        while not out.stopping:
            started_s = time.monotonic()
            media_s = source.grab()
            if media_s is None:
                return self._sequence - first, info
            self._media_s = self._offset_s + media_s
            sequence, self._sequence = self._sequence, self._sequence + 1
            wanted = self._sampler.take(self._media_s)
            self._decode_s += time.monotonic() - started_s
            if sequence < order.sequence:
                self._still_alive()
                continue
            if not wanted:
                out.skipped += 1
                self._still_alive()
                continue
            if order.realtime and not live:
                self._pace()
            self._hand_over(source, sequence)
        raise Stopped

    def _hand_over(self, source: FrameSource, sequence: int) -> None:
        out = self._out
        out.wait_for_credit()
        taken_s = time.monotonic()
        taken = source.retrieve()
        height, width = taken.image.shape[:2]
        self._decode_s += time.monotonic() - taken_s
        generation, slot, pixels = out.slot(width, height)
        # The one copy of a frame's pixels: from the decoder's buffer to shared memory.
        np.copyto(pixels, taken.image)
        out.copied += pixels.nbytes
        truth = None if taken.truth is None else Truth.of(taken.truth, taken.ignore)
        names = () if taken.truth is None else taken.truth.names
        header = FrameHeader(
            generation=generation,
            slot=slot,
            width=width,
            height=height,
            sequence=sequence,
            media_s=self._media_s,
            taken_s=taken_s,
            decode_s=self._decode_s,
        )
        self._decode_s = 0.0
        out.publish(header, truth, names)
        self._spoke_s = time.monotonic()

    def _pace(self) -> None:
        """Wait until the frame is due. One who has fallen far behind starts from now."""
        now_s, played_s = time.monotonic(), self._media_s / self._order.speed
        if self._anchor_s is None or now_s - self._anchor_s - played_s > _LATE_S:
            self._anchor_s = now_s - played_s
        early_s = self._anchor_s + played_s - now_s
        if early_s > 0:
            if early_s > _ALIVE_EVERY_S:
                self._out.send(messages.quiet(early_s, self._out.counts))
            self._out.pause(early_s)

    def _still_alive(self) -> None:
        """Tell the agent now and then that the stream runs, though it gets no frame."""
        now_s = time.monotonic()
        if now_s - self._spoke_s > _ALIVE_EVERY_S:
            self._spoke_s = now_s
            self._out.send(messages.quiet(0.0, self._out.counts))


def _fitting(order: Order, live: bool) -> str:
    """The overflow policy for those who did not choose: a live stream cannot wait."""
    return "drop_oldest" if live or order.realtime else "block"


def _factory(path: str) -> SourceFactory:
    module, _, name = path.partition(":")
    factory: SourceFactory = getattr(importlib.import_module(module), name)
    return factory


def _control(connection: socket.socket, out: HandOver) -> None:
    """Obey the agent until it hangs up; then see to it that this process ends."""
    with contextlib.suppress(OSError, Stopped):
        while not out.stopping:
            out.obey(connection.recv(64))
    out.obey(b"")
    time.sleep(LEAVE_S)
    os._exit(0)


def main(descriptor: int) -> None:
    """Serve the agent at the other end of the socket ``descriptor``."""
    # Ctrl-C is for the agent, which then hangs up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A camera whose decoder crashes again and again must not fill the disk with core files.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    connection = socket.socket(fileno=descriptor)
    message = connection.recv(messages.MAX_MESSAGE)
    if not message:
        return
    order = Order.decode(message)
    out = HandOver(connection, order.slots)
    threading.Thread(target=_control, args=(connection, out), daemon=True).start()
    player = Player(order, out)
    with contextlib.suppress(Stopped):
        out.send(messages.READY)
        try:
            player.play()
        except SecondlookError as error:
            player.settle()
            out.send(messages.failed(error))
        except MemoryError:
            text = f"{redact(order.url)}: it needs more memory than there is"
            out.send(messages.failed(InvalidInput(text)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
