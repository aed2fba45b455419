"""No frame is ever seen half-written, whatever the consumer keeps and however it lags."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import pytest
from support.capturing import asap, capturing_fault

from secondlook.edge.capture.camera import CapturedFrame
from secondlook.edge.capture.settings import Overflow

pytestmark = pytest.mark.anyio


def is_whole(captured: CapturedFrame) -> bool:
    """Whether all its pixels are of the one frame that its number names."""
    return bool((captured.frame.image == captured.frame.ref.sequence % 251).all())


@pytest.mark.parametrize("overflow", list(Overflow))
@pytest.mark.parametrize("slots", [4, 7])
async def test_frames_are_whole_when_they_come_and_when_they_go(
    monkeypatch: pytest.MonkeyPatch, overflow: Overflow, slots: int
) -> None:
    rng = random.Random(slots)
    kept: deque[tuple[CapturedFrame, np.ndarray]] = deque()
    count = 0
    query = "frames=700&size=320x240"
    async with capturing_fault(monkeypatch, query, asap(overflow=overflow, slots=slots)) as capture:
        async for captured in capture.frames():
            count += 1
            assert is_whole(captured)
            # A crop keeps the slot as well as the frame itself does.
            kept.append((captured, captured.frame.image[10:20, 30:40]))
            while len(kept) > rng.randrange(12):
                old, crop = kept.popleft()
                assert is_whole(old)
                assert (crop == old.frame.ref.sequence % 251).all()
        assert all(is_whole(captured) for captured, _ in kept)
    assert count + capture.stats.dropped == 700
    if overflow is Overflow.BLOCK:
        assert count == 700
    assert all(is_whole(captured) for captured, _ in kept)


async def test_frames_stay_whole_while_sizes_change(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: deque[CapturedFrame] = deque(maxlen=9)
    query = "frames=300&size=64x48,320x240,33x17,640x480,128x128"
    async with capturing_fault(monkeypatch, query, asap(slots=4)) as capture:
        async for captured in capture.frames():
            kept.append(captured)
            assert all(is_whole(held) for held in kept)
    assert capture.stats.frames == 300
