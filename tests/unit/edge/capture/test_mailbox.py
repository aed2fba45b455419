from __future__ import annotations

import anyio
import numpy as np
import pytest

from secondlook.edge.capture.events import Arrived
from secondlook.edge.capture.header import FrameHeader
from secondlook.edge.capture.mailbox import PREFETCH, Mailbox
from secondlook.shared.errors import SourceError

pytestmark = pytest.mark.anyio


def arrived(sequence: int) -> Arrived:
    header = FrameHeader(0, 0, 2, 2, sequence, 0.0, 0.0, 0.0)
    return Arrived(header, np.zeros((2, 2, 3), np.uint8), None, None, 0)


def sequence(frame: Arrived | None) -> int | None:
    return None if frame is None else frame.header.sequence


async def test_a_waiting_consumer_makes_one_frame_due() -> None:
    asked: list[int] = []
    mailbox = Mailbox(lambda: asked.append(mailbox.due(0)))
    async with anyio.create_task_group() as group:
        group.start_soon(mailbox.take)
        await anyio.wait_all_tasks_blocked()
        assert asked == [1]
        mailbox.put(arrived(0))
    assert asked == [1, 0], "nothing is due while the consumer works"


async def test_the_newest_replaces_what_waits() -> None:
    mailbox = Mailbox(lambda: None)
    assert [mailbox.put(arrived(i)) for i in range(3)] == [False, True, True]
    assert sequence(await mailbox.take()) == 2


async def test_without_loss_everything_waits_and_frames_are_asked_for_ahead() -> None:
    mailbox = Mailbox(lambda: None)
    mailbox.lossless = True
    assert mailbox.due(0) == PREFETCH
    assert [mailbox.put(arrived(i)) for i in range(PREFETCH)] == [False] * PREFETCH
    assert mailbox.due(0) == 0
    assert [sequence(await mailbox.take()) for _ in range(PREFETCH)] == list(range(PREFETCH))
    assert mailbox.due(0) == PREFETCH


async def test_an_error_comes_after_the_frames_and_stays() -> None:
    mailbox = Mailbox(lambda: None)
    mailbox.put(arrived(0))
    mailbox.close(SourceError("gone"))
    assert sequence(await mailbox.take()) == 0
    for _ in range(2):
        with pytest.raises(SourceError, match="gone"):
            await mailbox.take()


async def test_the_end_comes_after_the_frames_and_stays() -> None:
    mailbox = Mailbox(lambda: None)
    mailbox.put(arrived(0))
    mailbox.close()
    assert sequence(await mailbox.take()) == 0
    assert await mailbox.take() is None
    assert await mailbox.take() is None


async def test_closing_wakes_the_consumer() -> None:
    mailbox = Mailbox(lambda: None)
    async with anyio.create_task_group() as group:
        group.start_soon(mailbox.take)
        await anyio.wait_all_tasks_blocked()
        mailbox.close()


async def test_what_it_was_closed_with_first_stands() -> None:
    mailbox = Mailbox(lambda: None)
    mailbox.close(SourceError("gone"))
    mailbox.close()
    with pytest.raises(SourceError, match="gone"):
        await mailbox.take()
