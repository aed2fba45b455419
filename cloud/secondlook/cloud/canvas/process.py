"""The service's end of a decoding process: started when needed, replaced when it dies or hangs."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from secondlook.cloud.canvas import messages
from secondlook.shared.detect.protocol import Image
from secondlook.shared.errors import StateLost, Unavailable
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import CanvasUpdate

_BUFFER_BYTES = 1024 * 1024
_SECONDS_TO_START = 20.0
"""Added to the time limit of the first unit: the process loads its libraries first."""

_log = get_logger(__name__)


class DecoderProcess:
    """One decoding process and the thread that talks to it, one unit after the other.

    Args:
        timeout_s: a process that takes longer for a unit is replaced.
        ended: told when a process had to be replaced.
    """

    def __init__(self, timeout_s: float, ended: Callable[[], None]) -> None:
        self._timeout_s = timeout_s
        self._ended = ended
        self._thread = ThreadPoolExecutor(1, "canvas")
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: socket.socket | None = None
        self._fresh = False

    @property
    def pid(self) -> int | None:
        """Id of the process; ``None`` while there is none."""
        return None if self._process is None else self._process.pid

    def decode(self, canvas: int, update: CanvasUpdate, unit: bytes) -> Future[tuple[Image, float]]:
        """The canvas after an update, uint8 (h, w, 3) BGR, and the seconds that took.

        The future raises:
            StateLost: the update builds on what is not there; also where the process died.
            InvalidInput: the unit is malformed.
            Unavailable: no process can be started.
        """
        return self._thread.submit(self._decode, canvas, update, unit)

    def forget(self, canvas: int) -> None:
        """Let go of a canvas."""
        self._thread.submit(self._forget, canvas)

    def close(self) -> None:
        """End the process; what waits is not decoded any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        # The thread may be waiting for a process that hangs: that wait ends with the process.
        process = self._process
        if process is not None:
            process.kill()
        self._thread.shutdown(wait=True)
        self._end()

    def _decode(self, canvas: int, update: CanvasUpdate, unit: bytes) -> tuple[Image, float]:
        started_s = time.perf_counter()
        peer = self._connected()
        try:
            peer.settimeout(self._timeout_s + (_SECONDS_TO_START if self._fresh else 0.0))
            peer.sendall(messages.order(messages.DECODE, canvas, update, unit))
            pixels = messages.read_picture(peer, update)
        except (messages.PeerGone, OSError) as error:
            # TimeoutError is an OSError: a process that hangs goes the way of one that died.
            self._end()
            _log.warning("decoding process replaced", reason=str(error) or type(error).__name__)
            self._ended()
            raise StateLost("the decoder of the canvas ended") from None
        finally:
            self._fresh = False
        picture = np.frombuffer(pixels, np.uint8).reshape(update.height, update.width, 3)
        return picture, time.perf_counter() - started_s

    def _forget(self, canvas: int) -> None:
        if self._peer is None:
            return
        try:
            self._peer.settimeout(self._timeout_s)
            self._peer.sendall(messages.order(messages.FORGET, canvas))
        except OSError:
            self._end()

    def _connected(self) -> socket.socket:
        if self._peer is not None:
            return self._peer
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, "-m", "secondlook.cloud.canvas.worker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
            except OSError as error:
                ours.close()
                raise Unavailable(f"no decoding process can be started: {error}") from None
        self._peer, self._fresh = ours, True
        return ours

    def _end(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
