"""One pool for all pictures: bounded, and nothing is begun that comes too late."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import anyio
import cv2
import numpy as np
import pytest

from secondlook.cloud.picture.decoders import Decoders
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import DeadlineExceeded, InvalidInput, Overloaded
from secondlook.shared.values import ImageEncoding

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
PNG = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))[1].tobytes()


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(1, 64, 2, CLOCK)
    yield made
    made.close()


def soon() -> Deadline:
    return Deadline.after(30, CLOCK)


async def test_a_picture_is_told_by_its_first_bytes_or_by_who_sent_it(decoders: Decoders) -> None:
    assert (await decoders.decode(PNG, soon())).tolist() == [[[7, 7, 7]] * 8] * 8
    with pytest.raises(InvalidInput, match="jpeg"):
        await decoders.run(soon(), decoders.pixels, PNG, ImageEncoding.JPEG)


async def test_a_picture_larger_than_the_bound(decoders: Decoders) -> None:
    large = cv2.imencode(".png", np.zeros((9, 8, 3), np.uint8))[1].tobytes()
    with pytest.raises(InvalidInput, match="at most 64 pixels"):
        await decoders.decode(large, soon())


async def test_what_comes_too_late_does_not_run(decoders: Decoders) -> None:
    with pytest.raises(DeadlineExceeded):
        await decoders.run(Deadline.after(0, CLOCK), pytest.fail, "it ran")


async def test_all_work_counts_towards_one_bound(decoders: Decoders) -> None:
    gate = threading.Event()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decoders.run, soon(), gate.wait)
            tasks.start_soon(decoders.decode, PNG, soon())
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Overloaded, match="2 pictures wait"):
                await decoders.decode(PNG, soon())
            gate.set()
    finally:
        gate.set()
    assert (await decoders.decode(PNG, soon())).shape == (8, 8, 3)
