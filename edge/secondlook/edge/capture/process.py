"""The agent's end of a capture process: start it, listen to it, end it."""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import sys
from collections import deque

import anyio
import anyio.abc

from secondlook.edge.capture import messages
from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.capture.events import (
    Arrived,
    CaptureProcessDied,
    Ended,
    Event,
    Looped,
    Opened,
    Quiet,
    Ready,
)
from secondlook.edge.capture.header import Truth
from secondlook.edge.capture.messages import Order
from secondlook.edge.capture.ring import RingReader
from secondlook.edge.capture.worker import LEAVE_S
from secondlook.shared.errors import SecondlookError, SourceError
from secondlook.shared.values import Detections

_STDERR_LINES = 20
_STDERR_LINE_BYTES = 400
_SLOTS_OF_THE_DECODER = 2


class CaptureProcess:
    """One capture process. Made by `start_capture`; `end` must be called.

    Attributes:
        stderr: its last lines on standard error, without passwords.
    """

    def __init__(
        self, process: anyio.abc.Process, connection: socket.socket, address: SourceAddress
    ) -> None:
        self.stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._process = process
        self._connection = connection
        self._address = address
        self._buffer = bytearray(messages.MAX_MESSAGE)
        self._view = memoryview(self._buffer)
        self._ring: RingReader | None = None
        self._names: tuple[str, ...] = ()
        self._unsent: deque[bytes] = deque()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def status(self) -> str:
        """How it ended, in words: "SIGABRT", "exit status 3"; "running" before."""
        code = self._process.returncode
        if code is None:
            return "running"
        if code >= 0:
            return f"exit status {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def grant(self) -> None:
        """Ask for one more frame."""
        self._say(messages.CREDIT)

    async def receive(self) -> Event:
        """The next thing that it says. Waits without polling.

        Raises:
            CaptureProcessDied: it ended without a word.
            SecondlookError: what the source reported, or `SourceError` for a malformed message.
        """
        while True:
            try:
                event = self._parse(*self._read())
            except BlockingIOError:
                await anyio.wait_readable(self._connection)
                continue
            except ConnectionResetError:
                # It ended without reading all that we said. The error comes once, and before
                # what it said last, which is what matters.
                continue
            except OSError:
                raise CaptureProcessDied("the capture process hung up") from None
            if event is not None:
                return event

    async def drain_stderr(self) -> None:
        """Keep the last lines that it writes on standard error, until it closes it."""
        stream = self._process.stderr
        assert stream is not None
        line = b""
        async for chunk in stream:
            *whole, line = (line + chunk).split(b"\n")
            for text in whole:
                self._note(text)
            line = line[-_STDERR_LINE_BYTES:]
        self._note(line)

    async def end(self) -> None:
        """Let it close its source, then see to it that it is gone."""
        with anyio.CancelScope(shield=True):
            self._connection.close()
            with anyio.move_on_after(LEAVE_S + 1.0):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def kill(self) -> None:
        """End it at once: it no longer answers."""
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()

    async def close(self) -> None:
        """Let go of all that belongs to it, once it has ended."""
        with anyio.CancelScope(shield=True):
            self._connection.close()
            await self._process.aclose()

    def _note(self, line: bytes) -> None:
        text = self._address.scrub(line[:_STDERR_LINE_BYTES].decode(errors="replace").strip())
        if text:
            self.stderr.append(text)

    def _say(self, message: bytes) -> None:
        """Send without blocking; what the socket cannot hold now goes with the next message.

        That is enough: what waits is at most a release a slot, the decoder always has two slots
        left, and each frame that it sends needs a credit, which is such a next message.
        """
        self._unsent.append(message)
        try:
            while self._unsent:
                self._connection.send(self._unsent[0])
                self._unsent.popleft()
        except (OSError, IndexError):
            return  # full; or gone, which `receive` finds out; or another thread sent it

    def _give_back(self, generation: int, slot: int) -> None:
        self._say(messages.release(generation, slot))

    def _read(self) -> tuple[memoryview, list[int]]:
        room = socket.CMSG_LEN(array.array("i").itemsize)
        size, ancillary, flags, _ = self._connection.recvmsg_into(
            [self._buffer], room, socket.MSG_CMSG_CLOEXEC
        )
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) // 4 * 4])
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            _close_all(descriptors.tolist())
            raise SourceError("the capture process sent an oversized message")
        return self._view[:size], descriptors.tolist()

    def _parse(self, message: memoryview, descriptors: list[int]) -> Event | None:
        kind = bytes(message[:1])
        if kind != messages.RING:
            _close_all(descriptors)
        if kind == messages.FRAME:
            return self._frame(message)
        if kind == messages.RING:
            self._new_ring(message, descriptors)
            return None
        if kind == messages.NAMES:
            self._names = messages.parse_names(message)
            return None
        return self._rare(kind, message)

    def _rare(self, kind: bytes, message: memoryview) -> Event:
        if not message:
            raise CaptureProcessDied("the capture process ended without a word")
        if kind == messages.READY:
            return Ready()
        if kind == messages.OPENED:
            return Opened(*messages.parse_opened(message))
        if kind == messages.QUIET:
            return Quiet(*messages.parse_quiet(message))
        if kind == messages.LOOPED:
            return Looped(*messages.parse_looped(message))
        if kind == messages.ENDED:
            return Ended()
        if kind == messages.FAILED:
            raise messages.parse_failed(message)
        raise SourceError(f"the capture process sent an unknown message: {kind!r}")

    def _new_ring(self, message: memoryview, descriptors: list[int]) -> None:
        if len(descriptors) != 1:
            _close_all(descriptors)
            raise SourceError("the capture process announced memory without a descriptor")
        try:
            generation, slots, slot_bytes = messages.parse_ring(message)
        except SourceError:
            _close_all(descriptors)
            raise
        self._ring = RingReader(descriptors[0], generation, slots, slot_bytes, self._give_back)

    def _frame(self, message: memoryview) -> Arrived:
        header, truth = messages.parse_frame(message)
        ring = self._ring
        if ring is None or header.generation != ring.generation:
            raise SourceError("the capture process sent a frame of an unknown ring")
        image = ring.lend(header.slot, header.width, header.height)
        copied = 0
        if ring.lent > ring.slots - _SLOTS_OF_THE_DECODER:
            # Someone keeps many frames: copy this one, so that the decoder never runs out.
            image = image.copy()
            image.flags.writeable = False
            copied = image.nbytes
        return Arrived(
            header,
            image,
            None if truth is None else self._detections(truth),
            None if truth is None else truth.ignore,
            copied,
        )

    def _detections(self, truth: Truth) -> Detections:
        try:
            return truth.detections(self._names)
        except SecondlookError as error:
            raise SourceError(f"the capture process sent nonsense: {error}") from None


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


async def start_capture(order: Order) -> CaptureProcess:
    """Start a capture process and give it its order.

    Raises:
        SourceError: the machine cannot start another process.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        ours.setblocking(False)
        ours.send(order.encode())
        process = await anyio.open_process(
            [sys.executable, "-m", "secondlook.edge.capture.worker", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise SourceError(f"no capture process can be started: {error}") from None
    except BaseException:  # also when cancelled: nobody else knows of our end
        ours.close()
        raise
    finally:
        theirs.close()
    return CaptureProcess(process, ours, SourceAddress.parse(order.url))


def _environment() -> dict[str, str]:
    """The agent's own, with the libraries of the capture process told to be modest."""
    return {
        **os.environ,
        "OPENCV_LOG_LEVEL": "ERROR",
        "OPENCV_FFMPEG_LOGLEVEL": "-8",
        "OPENCV_IO_MAX_IMAGE_PIXELS": "64000000",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
