from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from secondlook.edge.capture import messages
from secondlook.edge.capture.handover import HandOver, Stopped
from secondlook.edge.capture.header import FrameHeader, Truth
from secondlook.shared.values import Detections

SLOTS = 4


class Agent:
    """The other end: takes messages, checks nothing."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.theirs = theirs
        self.out = HandOver(theirs, SLOTS)

    def heard(self) -> list[bytes]:
        """Everything said so far."""
        said = []
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 4)
            except BlockingIOError:
                return said
            for descriptor in descriptors:
                os.close(descriptor)
            said.append(message)

    def frames(self) -> list[FrameHeader]:
        """The frames said so far."""
        return [
            messages.parse_frame(memoryview(message))[0]
            for message in self.heard()
            if message[:1] == messages.FRAME
        ]

    def publish(self, sequence: int, width: int = 8, height: int = 8) -> FrameHeader:
        """Let the decoder produce a frame."""
        generation, slot, pixels = self.out.slot(width, height)
        pixels[:] = sequence
        header = FrameHeader(generation, slot, width, height, sequence, 0.0, 0.0, 0.0)
        self.out.publish(header, None, ())
        return header


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    agent.socket.close()
    agent.theirs.close()


def test_the_newest_frame_waits_for_a_credit(agent: Agent) -> None:
    for sequence in range(5):
        agent.publish(sequence)
    assert agent.frames() == []
    agent.out.obey(messages.CREDIT)
    (frame,) = agent.frames()
    assert (frame.sequence, frame.counts.dropped) == (4, 4)


def test_a_credit_in_stock_lets_the_next_frame_go_at_once(agent: Agent) -> None:
    agent.out.obey(messages.CREDIT)
    agent.publish(0)
    agent.publish(1)
    assert [frame.sequence for frame in agent.frames()] == [0]
    agent.out.obey(messages.CREDIT)
    (frame,) = agent.frames()
    assert (frame.sequence, frame.counts.dropped) == (1, 0)


def test_a_lent_slot_is_never_written_again_before_it_is_back(agent: Agent) -> None:
    agent.out.obey(messages.CREDIT)
    lent = agent.publish(0)
    for sequence in range(1, 50):
        assert agent.publish(sequence).slot != lent.slot
    agent.out.obey(messages.release(lent.generation, lent.slot))
    assert lent.slot in {agent.publish(sequence).slot for sequence in range(50, 50 + SLOTS)}


def test_a_larger_frame_makes_a_new_ring_and_old_slots_stay_out(agent: Agent) -> None:
    agent.out.obey(messages.CREDIT)
    small = agent.publish(0)
    large = agent.publish(1, 640, 480)
    assert large.generation == small.generation + 1
    # A release of the old ring must not free a slot of the new one.
    agent.out.obey(messages.CREDIT)
    assert agent.publish(2, 640, 480).slot != large.slot
    agent.out.obey(messages.release(small.generation, large.slot))
    for sequence in range(3, 20):
        assert agent.publish(sequence, 640, 480).slot != large.slot


def test_a_smaller_frame_uses_the_same_ring(agent: Agent) -> None:
    assert agent.publish(0, 640, 480).generation == agent.publish(1, 320, 240).generation


def test_huge_frames_get_fewer_slots(agent: Agent) -> None:
    agent.out = HandOver(agent.theirs, 64)
    agent.out.slot(8000, 8000)
    (announced,) = agent.heard()
    _, slots, slot_bytes = messages.parse_ring(memoryview(announced))
    assert slots == 4
    assert slot_bytes >= 8000 * 8000 * 3


def test_what_waits_in_an_outgrown_ring_counts_as_dropped(agent: Agent) -> None:
    agent.publish(0)
    agent.publish(1, 640, 480)
    agent.out.obey(messages.CREDIT)
    (frame,) = agent.frames()
    assert (frame.sequence, frame.counts.dropped) == (1, 1)


def test_with_block_the_decoder_waits_for_a_credit(agent: Agent) -> None:
    agent.out.block = True
    passed = threading.Event()

    def decode() -> None:
        agent.out.wait_for_credit()
        passed.set()

    decoder = threading.Thread(target=decode)
    decoder.start()
    assert not passed.is_set()
    agent.out.obey(messages.CREDIT)
    decoder.join(10)
    assert passed.is_set()


def test_what_is_abandoned_counts_as_dropped(agent: Agent) -> None:
    agent.publish(0)
    agent.out.abandon()
    agent.out.abandon()
    agent.out.obey(messages.CREDIT)
    assert agent.frames() == []
    assert agent.out.counts.dropped == 1


def test_the_end_waits_until_the_last_frame_is_taken(agent: Agent) -> None:
    agent.publish(0)
    done = threading.Thread(target=agent.out.flush)
    done.start()
    assert agent.frames() == []
    agent.out.obey(messages.CREDIT)
    done.join(10)
    assert not done.is_alive()
    assert [frame.sequence for frame in agent.frames()] == [0]


@pytest.mark.parametrize("message", [b"", messages.STOP])
def test_whoever_waits_is_stopped(agent: Agent, message: bytes) -> None:
    agent.out.block = True
    agent.publish(0)
    stopped = []

    def wait(what: str) -> None:
        try:
            {
                "credit": agent.out.wait_for_credit,
                "flush": agent.out.flush,
                "pause": lambda: agent.out.pause(3600.0),
            }[what]()
        except Stopped:
            stopped.append(what)

    waiting = [threading.Thread(target=wait, args=(w,)) for w in ("credit", "flush", "pause")]
    for thread in waiting:
        thread.start()
    agent.out.obey(message)
    for thread in waiting:
        thread.join(10)
    assert sorted(stopped) == ["credit", "flush", "pause"]
    assert agent.out.stopping


def test_an_agent_that_hung_up_stops_the_decoder(agent: Agent) -> None:
    agent.out.obey(messages.CREDIT)
    agent.socket.close()
    with pytest.raises(Stopped):
        agent.publish(0)


def test_class_names_travel_once(agent: Agent) -> None:
    detections = Detections.of([[0, 0, 4, 4]], [1.0], [0], ("car",))
    for sequence in range(3):
        agent.out.obey(messages.CREDIT)
        generation, slot, _ = agent.out.slot(8, 8)
        header = FrameHeader(generation, slot, 8, 8, sequence, 0.0, 0.0, 0.0)
        truth = Truth.of(detections, np.array([True]))
        agent.out.publish(header, truth, detections.names)
    kinds = [message[:1] for message in agent.heard()]
    assert kinds.count(messages.NAMES) == 1
    assert kinds.count(messages.FRAME) == 3
    assert kinds.index(messages.NAMES) < kinds.index(messages.FRAME)
