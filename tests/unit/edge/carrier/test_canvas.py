from __future__ import annotations

import cv2
import pytest
from support.canvas import cut, psnr, scene

from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.edge.carrier import CanvasEncoder, CanvasSettings
from secondlook.edge.regions import Canonical
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import ImageEncoding, Region
from secondlook.shared.values.canvas import blocks_of, native_region

PLENTY = 1_000_000
FRAME = Canonical.of(320, 240, 640)


def encoder() -> CanvasEncoder:
    return CanvasEncoder(CanvasSettings())


def test_the_first_update_is_a_key_frame_of_the_whole_frame() -> None:
    carried = encoder().encode(scene(320, 240), (Region(32, 32, 48, 48),), FRAME, PLENTY)
    assert carried.encoding is ImageEncoding.H264
    assert carried.canvas is not None
    assert carried.canvas.key
    assert [place.region.xyxy for place in carried.placements] == [(0, 0, 320, 240)]


@pytest.mark.parametrize(
    ("width", "height", "canonical"),
    [(320, 240, 640), (1280, 720, 640), (1921, 1081, 640), (333, 77, 640), (1000, 333, 321)],
)
def test_what_is_decoded_shows_the_regions_asked_about(
    width: int, height: int, canonical: int
) -> None:
    encode, decode = encoder(), CanvasDecoder()
    frame = Canonical.of(width, height, canonical)
    regions = (
        Region(width // 8, height // 8, width // 4, height // 4),
        Region(width - width // 5, height - height // 5, width // 5, height // 5),
    )
    for step in range(4):
        image = scene(width, height, shift=step * width // 40)
        carried = encode.encode(image, regions, frame, PLENTY)
        assert carried.canvas is not None
        picture = decode.decode(carried.canvas, carried.image)
        assert picture.shape == (frame.height, frame.width, 3)
        small = cv2.resize(image, (frame.width, frame.height), interpolation=cv2.INTER_AREA)
        for place in carried.placements:
            assert psnr(cut(picture, place), cut(small, place)) > 27
        for region in regions:
            left, top, right, bottom = region.xyxy
            assert any(
                x1 <= left + 1 and y1 <= top + 1 and x2 >= right - 1 and y2 >= bottom - 1
                for x1, y1, x2, y2 in (place.region.xyxy for place in carried.placements)
            )


def test_outside_the_regions_nothing_of_the_frame_is_sent() -> None:
    encode, decode = encoder(), CanvasDecoder()
    first = encode.encode(scene(320, 240), (FRAME.whole(),), FRAME, PLENTY)
    assert first.canvas is not None
    before = decode.decode(first.canvas, first.image)
    other = scene(320, 240, seed=99)
    second = encode.encode(other, (Region(32, 32, 64, 64),), FRAME, PLENTY)
    assert second.canvas is not None
    after = decode.decode(second.canvas, second.image)
    # The loop filter reaches three pixels over the border of a block.
    assert psnr(after[:, 112:], before[:, 112:]) > 40
    assert psnr(after[32:96, 32:96], other[32:96, 32:96]) > 27


def test_an_unchanged_region_costs_a_few_tens_of_bytes() -> None:
    encode, image = encoder(), scene(320, 240)
    sizes = [
        len(encode.encode(image, (Region(64, 64, 96, 64),), FRAME, PLENTY).image) for _ in range(6)
    ]
    assert max(sizes[2:]) < 40, sizes


def test_after_a_loss_comes_one_key_frame() -> None:
    encode, image, region = encoder(), scene(320, 240), (Region(64, 64, 96, 64),)
    first, second, third = (encode.encode(image, region, FRAME, PLENTY).canvas for _ in range(3))
    assert first is not None
    assert second is not None
    assert not second.key
    encode.lost(second)
    assert encode.needs_key
    again = encode.encode(image, region, FRAME, PLENTY).canvas
    assert again is not None
    assert again.key
    assert again.epoch == first.epoch + 1
    # What was under way with the lost one fails too, and means nothing new.
    encode.lost(third)
    encode.lost(None)
    last = encode.encode(image, region, FRAME, PLENTY).canvas
    assert last is not None
    assert not last.key


def test_frames_of_another_size_begin_again() -> None:
    encode, decode = encoder(), CanvasDecoder()
    for width, height in ((320, 240), (240, 320), (320, 240)):
        frame = Canonical.of(width, height, 640)
        carried = encode.encode(scene(width, height), (frame.whole(),), frame, PLENTY)
        assert carried.canvas is not None
        assert carried.canvas.key
        assert decode.decode(carried.canvas, carried.image).shape == (height, width, 3)


def test_an_update_that_is_too_large_is_followed_by_a_key_frame() -> None:
    encode, image = encoder(), scene(320, 240)
    with pytest.raises(InvalidInput, match="allowed"):
        encode.encode(image, (FRAME.whole(),), FRAME, 50)
    carried = encode.encode(image, (FRAME.whole(),), FRAME, PLENTY)
    assert carried.canvas is not None
    assert carried.canvas.key


def test_the_estimate_learns_what_updates_cost() -> None:
    encode, region = encoder(), (Region(64, 64, 96, 64),)
    assert encode.estimate(region, FRAME) > 1000  # a key frame is due
    sizes = [
        len(encode.encode(scene(320, 240, shift=step % 5 * 7), region, FRAME, PLENTY).image)
        for step in range(40)
    ]
    usual = sum(sizes[20:]) / 20
    assert usual / 2 <= encode.estimate(region, FRAME) <= usual * 2
    assert encode.estimate((FRAME.whole(),), FRAME) > encode.estimate(region, FRAME)


@pytest.mark.parametrize("native", [(320, 240), (640, 360), (1280, 720), (1920, 1080), (1366, 768)])
def test_blocks_and_regions_are_each_other(native: tuple[int, int]) -> None:
    frame = Canonical.of(*native, 640)
    canvas = frame.width, frame.height
    for x in range(canvas[0] // 16 - 3):
        rectangle = (x * 16, 32, 48, 32)
        ours = native_region(rectangle, native, canvas)
        theirs = frame.to_native((x * 16, 32, x * 16 + 48, 64))
        assert blocks_of(ours, native, canvas) == (x, 2, 3, 2)
        assert blocks_of(theirs, native, canvas) == (x, 2, 3, 2)
