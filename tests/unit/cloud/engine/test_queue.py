from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from secondlook.cloud.engine.queue import DeadlineQueue, Overflow, Pending, State
from secondlook.shared.clock import Deadline, ManualClock
from secondlook.shared.errors import Overloaded, Unavailable


def request(loop: asyncio.AbstractEventLoop, at_s: float) -> Pending:
    return Pending(np.zeros((1, 1, 3), np.uint8), 0.1, Deadline(at_s), 0.0, loop.create_future())


@pytest.fixture
def loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_takes_by_deadline_and_keeps_order_among_equals(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(10, Overflow.REJECT, ManualClock(0))
    requests = [request(loop, at_s) for at_s in (5, 3, 9, 3)]
    for one in requests:
        queue.put(one)
    assert queue.take(3) == ([requests[1], requests[3], requests[0]], [])
    assert queue.take(3) == ([requests[2]], [])


def test_expired_requests_come_apart_and_take_no_place_in_the_batch(
    loop: asyncio.AbstractEventLoop,
) -> None:
    clock = ManualClock(0)
    queue = DeadlineQueue(10, Overflow.REJECT, clock)
    late, good = [request(loop, 1), request(loop, 2)], [request(loop, 50), request(loop, 60)]
    for one in [*good, *late]:
        queue.put(one)
    clock.advance(10)
    assert queue.take(2) == (good, late)
    assert len(queue) == 0


def test_a_full_queue_that_drops_the_oldest_keeps_the_newcomer(
    loop: asyncio.AbstractEventLoop,
) -> None:
    queue = DeadlineQueue(2, Overflow.DROP_OLDEST, ManualClock(0))
    first, second, third = (request(loop, at_s) for at_s in (1, 9, 5))
    assert queue.put(first) is None
    assert queue.put(second) is None
    assert queue.put(third) is first
    assert first.state is State.GONE
    assert queue.take(9) == ([third, second], [])


def test_a_full_queue_rejects_and_stays_as_it_was(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(1, Overflow.REJECT, ManualClock(0))
    kept = request(loop, 1)
    queue.put(kept)
    with pytest.raises(Overloaded):
        queue.put(request(loop, 0.5))
    assert queue.take(9) == ([kept], [])


def test_requests_given_up_do_not_pile_up(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(4, Overflow.REJECT, ManualClock(0))
    for n in range(1000):
        gone = request(loop, 1000 - n)
        queue.put(gone)
        queue.give_up(gone)
        queue.give_up(gone)
    assert len(queue) == 0
    assert len(queue._heap) <= 2 * 4 + 1
    last = request(loop, 1)
    queue.put(last)
    assert queue.take(9) == ([last], [])


def test_giving_up_what_was_taken_changes_nothing(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(4, Overflow.REJECT, ManualClock(0))
    one = request(loop, 1)
    queue.put(one)
    queue.take(1)
    queue.give_up(one)
    assert one.state is State.TAKEN
    assert len(queue) == 0


def test_a_closed_queue_is_emptied_and_then_ends(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(4, Overflow.REJECT, ManualClock(0))
    one = request(loop, 1)
    queue.put(one)
    queue.close()
    with pytest.raises(Unavailable):
        queue.put(request(loop, 1))
    assert queue.take(1) == ([one], [])
    assert queue.take(1) is None


def test_closing_wakes_the_thread_that_waits() -> None:
    queue = DeadlineQueue(4, Overflow.REJECT, ManualClock(0))
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take(1)))
    thread.start()
    queue.close()
    thread.join(10)
    assert taken == [None]


def test_lingering_ends_as_soon_as_the_batch_is_full(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(4, Overflow.REJECT, ManualClock(0))
    requests = [request(loop, at_s) for at_s in (1, 2)]
    taken: list[object] = []
    # An hour: the test ends only because the second request ends the waiting.
    thread = threading.Thread(target=lambda: taken.append(queue.take(2, linger_s=3600)))
    queue.put(requests[0])
    thread.start()
    queue.put(requests[1])
    thread.join(10)
    assert taken == [(requests, [])]


def test_abort_hands_back_what_waits(loop: asyncio.AbstractEventLoop) -> None:
    queue = DeadlineQueue(4, Overflow.REJECT, ManualClock(0))
    one, gone = request(loop, 1), request(loop, 2)
    queue.put(one)
    queue.put(gone)
    queue.give_up(gone)
    assert queue.abort() == [one]
    assert queue.take(1) is None
