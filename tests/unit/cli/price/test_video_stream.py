"""The video baselines over their real stream: sizes that change, and errors that are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from secondlook.cli.price.system import Shot
from secondlook.cli.price.tiers import counted_channel
from secondlook.cli.price.video import H264, H265, Codec
from secondlook.cli.price.video_stream import CloudVideo, stream_server
from secondlook.shared.detect import ModelInfo
from secondlook.shared.errors import ModelFailure, SecondlookError
from secondlook.shared.values import Detections, Frame

pytestmark = pytest.mark.anyio

NAMES = ("car",)


class FakeHeavy:
    """Sees one car as large as the picture, and remembers what it was shown."""

    info = ModelInfo("heavy", "1", NAMES, 64, 64, "fake", "CPU", 1)

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []
        self.broken = False

    async def see(self, image: np.ndarray, min_score: float) -> Detections:
        if self.broken:
            raise ModelFailure("the model gave NaN")
        self.shown.append(image.shape)
        height, width = image.shape[:2]
        return Detections.of([[0, 0, width, height]], [min_score], [0], NAMES)


def shot(index: int, width: int, height: int) -> Shot:
    frame = Frame.of(
        np.full((height, width, 3), 60 + index, np.uint8),
        camera="clip",
        sequence=index,
        captured_s=float(index),
        captured_at=1.7e9 + index,
    )
    return Shot(index, frame, index / 5, Detections.empty(NAMES), 0.0)


@asynccontextmanager
async def system(
    heavy: FakeHeavy, codec: Codec = H264, width_px: int | None = None
) -> AsyncIterator[CloudVideo]:
    async with stream_server(heavy) as port, counted_channel(port) as (proxy, channel):
        yield CloudVideo(
            "cloud_video",
            proxy,
            channel,
            codec=codec,
            width_px=width_px,
            fps=5.0,
            crf=23,
            min_score=0.25,
        )


@pytest.mark.parametrize("codec", [H264, H265], ids=["h264", "h265"])
async def test_a_camera_that_changes_its_size_begins_a_new_stream(codec: Codec) -> None:
    heavy = FakeHeavy()
    async with system(heavy, codec) as h264:
        for index, (width, height) in enumerate([(64, 48), (64, 48), (97, 65), (64, 48)]):
            await h264.see(shot(index, width, height))
        await h264.finish()
    assert heavy.shown == [(48, 64, 3), (48, 64, 3), (65, 97, 3), (48, 64, 3)]
    assert [a.final.boxes[0].tolist() for a in h264.ledger.answers[1:3]] == [
        [0, 0, 64, 48],
        [0, 0, 97, 65],
    ]
    assert h264.ledger.escalations == h264.ledger.inferences == 4
    traffic = h264.ledger.traffic
    assert traffic.up > 0 < traffic.down
    assert traffic.setup_up > 0
    # What went up is told frame by frame, and nothing is lost on the way.
    assert len(h264.ledger.up_bytes) == 4
    assert sum(h264.ledger.up_bytes) == traffic.up


async def test_a_wide_frame_travels_at_the_canonical_width_and_its_boxes_come_back_native() -> None:
    heavy = FakeHeavy()
    async with system(heavy, width_px=64) as h264:
        await h264.see(shot(0, 256, 128))
        await h264.see(shot(1, 48, 32))
        await h264.finish()
    assert heavy.shown == [(32, 64, 3), (32, 48, 3)]
    said = [answer.final.boxes[0].tolist() for answer in h264.ledger.answers]
    assert said == [[0, 0, 256, 128], [0, 0, 48, 32]]


async def test_a_failing_model_ends_the_comparison_with_its_own_words() -> None:
    heavy = FakeHeavy()
    async with system(heavy) as h264:
        await h264.see(shot(0, 64, 48))
        heavy.broken = True
        with pytest.raises(SecondlookError, match="the model"):
            await h264.see(shot(1, 64, 48))


async def test_an_empty_clip_costs_nothing() -> None:
    async with system(FakeHeavy()) as h264:
        await h264.finish()
    assert h264.ledger.traffic.up == 0
