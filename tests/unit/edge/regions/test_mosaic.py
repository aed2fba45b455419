"""Regions as one encoded picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.edge import picture, textured

from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions import Canonical, MosaicEncoder
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding, Region


def _decoded(image: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("encoding", ["webp", "jpeg"])
def test_regions_come_out_where_the_placements_say(encoding: str) -> None:
    settings = RegionSettings.model_validate({"encoding": encoding, "quality": 95})
    image = picture()
    image[32:80, 32:80] = (255, 0, 0)
    image[160:224, 200:280] = (0, 0, 255)
    regions = (Region(32, 32, 48, 48), Region(200, 160, 80, 64))
    mosaic = MosaicEncoder(settings).encode(image, regions, Canonical.of(320, 240, 640), 100_000)
    assert mosaic.encoding is ImageEncoding(encoding)
    sent = _decoded(mosaic.image)
    for placement, colour in zip(mosaic.placements, ((255, 0, 0), (0, 0, 255)), strict=True):
        shown = sent[
            placement.y : placement.y + placement.height,
            placement.x : placement.x + placement.width,
        ]
        assert np.abs(shown.mean(axis=(0, 1)) - colour).max() < 12
    assert mosaic.copied_bytes == 3 * (48 * 48 + 80 * 64)


def test_a_large_frame_is_sent_at_canonical_size() -> None:
    encoder = MosaicEncoder(RegionSettings())
    frame = Canonical.of(1920, 1080, 640)
    whole = encoder.encode(textured(1920, 1080), (frame.whole(),), frame, 1_000_000)
    assert _decoded(whole.image).shape == (360, 640, 3)
    part = encoder.encode(textured(1920, 1080), (Region(0, 0, 300, 150),), frame, 1_000_000)
    assert (part.placements[0].width, part.placements[0].height) == (100, 50)


def test_a_whole_frame_of_canonical_size_is_not_copied() -> None:
    frame = Canonical.of(320, 240, 640)
    mosaic = MosaicEncoder(RegionSettings()).encode(picture(), (frame.whole(),), frame, 100_000)
    assert mosaic.copied_bytes == 0
    assert _decoded(mosaic.image).shape == (240, 320, 3)


def test_quality_goes_down_to_stay_within_the_limit() -> None:
    frame = Canonical.of(320, 240, 640)
    encoder = MosaicEncoder(RegionSettings())
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    free = encoder.encode(image, (frame.whole(),), frame, 1_000_000)
    tight = encoder.encode(image, (frame.whole(),), frame, len(free.image) // 2)
    assert len(tight.image) <= len(free.image) // 2
    with pytest.raises(InvalidInput, match="100 are allowed"):
        encoder.encode(image, (frame.whole(),), frame, 100)


def test_the_canvas_is_reused_and_leaks_nothing_of_earlier_pictures() -> None:
    settings = RegionSettings(encoding="jpeg", quality=100)
    frame = Canonical.of(320, 240, 640)
    used, fresh = MosaicEncoder(settings), MosaicEncoder(settings)
    used.encode(textured(seed=1), (Region(0, 0, 200, 200),), frame, 1_000_000)
    regions = (Region(0, 0, 64, 64), Region(100, 100, 48, 32), Region(200, 16, 48, 48))
    again = used.encode(picture(), regions, frame, 1_000_000)
    assert again.image == fresh.encode(picture(), regions, frame, 1_000_000).image


def test_the_frame_is_left_untouched_and_may_be_read_only() -> None:
    image = textured()
    image.setflags(write=False)
    before = image.copy()
    frame = Canonical.of(320, 240, 200)
    MosaicEncoder(RegionSettings()).encode(image, (Region(10, 10, 99, 99),), frame, 100_000)
    np.testing.assert_array_equal(image, before)


def test_no_regions_are_an_error() -> None:
    with pytest.raises(InvalidInput, match="no regions"):
        MosaicEncoder(RegionSettings()).encode(picture(), (), Canonical.of(320, 240, 640), 1000)
