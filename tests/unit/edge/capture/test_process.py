from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from secondlook.edge.capture import messages
from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.capture.events import Arrived, CaptureProcessDied, Ended, Ready
from secondlook.edge.capture.header import FrameHeader, Truth
from secondlook.edge.capture.process import CaptureProcess
from secondlook.edge.capture.ring import RingWriter
from secondlook.shared.errors import SourceError
from secondlook.shared.values import Detections

pytestmark = pytest.mark.anyio

SLOTS = 4


class Decoder:
    """The other end, which says what the test wants, true or not."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.ours = ours
        # No process is needed: what it says comes through the socket alone.
        self.process = CaptureProcess(None, ours, SourceAddress.parse("sim://street"))  # type: ignore[arg-type]

    def share(self, slots: int = SLOTS, slot_bytes: int = 4096, generation: int = 1) -> RingWriter:
        ring = RingWriter(generation, slots, slot_bytes)
        announced = messages.ring(generation, slots, slot_bytes)
        socket.send_fds(self.socket, [announced], [ring.descriptor])
        return ring

    def frame(self, slot: int = 0, generation: int = 1, side: int = 16, n: int = -1) -> None:
        header = FrameHeader(generation, slot, side, side, 0, 0.0, 0.0, 0.0)
        truth = None
        if n >= 0:
            detections = Detections.of(np.zeros((n, 4)), np.ones(n), np.zeros(n), ("car",))
            truth = Truth.of(detections, None)
        self.socket.send(messages.frame(header, truth))


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.ours.close()
    decoder.socket.close()


async def test_the_last_word_counts_even_when_ours_was_never_read(decoder: Decoder) -> None:
    decoder.process.grant()
    decoder.socket.send(messages.READY)
    decoder.socket.send(messages.ENDED)
    decoder.socket.close()
    assert isinstance(await decoder.process.receive(), Ready)
    assert isinstance(await decoder.process.receive(), Ended)
    with pytest.raises(CaptureProcessDied):
        await decoder.process.receive()


async def test_a_silent_death_is_told_from_an_error(decoder: Decoder) -> None:
    decoder.socket.send(messages.failed(SourceError("no signal", remedy="turn it on")))
    decoder.socket.close()
    with pytest.raises(SourceError, match="no signal") as caught:
        await decoder.process.receive()
    assert not isinstance(caught.value, CaptureProcessDied)
    with pytest.raises(CaptureProcessDied, match="without a word"):
        await decoder.process.receive()


async def test_too_many_loans_are_answered_with_copies(decoder: Decoder) -> None:
    ring = decoder.share()
    kept = []
    for slot in range(SLOTS):
        ring.view(slot, 16, 16)[:] = slot
        decoder.frame(slot)
        kept.append(await decoder.process.receive())
    assert all(isinstance(event, Arrived) for event in kept)
    assert [event.copied for event in kept] == [0, 0, 768, 768]
    assert [int(event.image.max()) for event in kept] == [0, 1, 2, 3]
    assert not any(event.image.flags.writeable for event in kept)
    # The slots of the copies went back at once.
    assert [messages.parse_release(decoder.socket.recv(64)) for _ in range(2)] == [(1, 2), (1, 3)]
    ring.close()


async def test_what_the_socket_cannot_hold_goes_with_the_next_message(decoder: Decoder) -> None:
    for _ in range(5000):
        decoder.process.grant()
    decoder.socket.setblocking(False)
    heard = _drained(decoder.socket)
    assert 0 < heard < 5000, "the socket was full, and nobody waited for it"
    said = 5000
    while heard < said:
        decoder.process.grant()
        said += 1
        heard += _drained(decoder.socket)
    assert heard == said


def _drained(connection: socket.socket) -> int:
    """How many messages were waiting."""
    heard = 0
    with contextlib.suppress(BlockingIOError):
        while connection.recv(64):
            heard += 1
    return heard


@pytest.mark.parametrize(
    "lie",
    [
        lambda d: d.socket.send(b"?what"),
        lambda d: d.socket.send(messages.FRAME),
        lambda d: d.socket.send(messages.ring(1, 4, 4096)),
        lambda d: d.frame(),
        lambda d: (d.share(), d.frame(slot=9)),
        lambda d: (d.share(), d.frame(generation=2)),
        lambda d: (d.share(), d.frame(side=4000)),
        lambda d: (d.share(), d.frame(n=3)),
        lambda d: d.socket.send(b"N" + b"x" * messages.MAX_MESSAGE),
    ],
    ids=["kind", "short", "no-memory", "no-ring", "slot", "ring", "size", "names", "oversized"],
)
async def test_a_decoder_gone_bad_is_not_believed(decoder: Decoder, lie) -> None:
    lie(decoder)
    with pytest.raises(SourceError):
        await decoder.process.receive()


def _is_of(descriptor: str, pipe: int) -> bool:
    """Whether an open descriptor is an end of that pipe."""
    try:
        return os.path.samestat(os.fstat(int(descriptor)), os.fstat(pipe))
    except OSError:  # the one that listed them
        return False


async def test_descriptors_nobody_asked_for_are_closed(decoder: Decoder) -> None:
    read, write = os.pipe()
    socket.send_fds(decoder.socket, [messages.READY], [read])
    assert isinstance(await decoder.process.receive(), Ready)
    ends = [fd for fd in os.listdir("/proc/self/fd") if _is_of(fd, read)]  # noqa: PTH208 - of this process
    assert sorted(map(int, ends)) == sorted([read, write])
    os.close(read)
    os.close(write)
