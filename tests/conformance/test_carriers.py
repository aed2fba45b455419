"""What every carrier keeps, see `secondlook.edge.carrier.Carrier`: the mosaic and the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from support.canvas import psnr, scene

from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.cloud.picture.decode import decode_image
from secondlook.edge.carrier import (
    CanvasEncoder,
    CanvasSettings,
    Carried,
    Carrier,
    MosaicCarrier,
)
from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions import Canonical
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Escalation, Purpose, Region
from secondlook.shared.wire.canvas import Opening, update_from_proto, update_to_proto
from secondlook.shared.wire.escalation import request_from_proto, request_to_proto

Image = npt.NDArray[np.uint8]
PLENTY = 1_000_000


class Far(Protocol):
    """The other end: from what was carried to its picture."""

    def __call__(self, carried: Carried) -> Image: ...


def far_mosaic() -> Far:
    return lambda carried: decode_image(carried.image, carried.encoding, 16_000_000)


def far_canvas() -> Far:
    decoder = CanvasDecoder()

    def show(carried: Carried) -> Image:
        assert carried.canvas is not None
        return decoder.decode(carried.canvas, carried.image)

    return show


KINDS: dict[str, tuple[Callable[[], Carrier], Callable[[], Far]]] = {
    "mosaic": (lambda: MosaicCarrier(RegionSettings()), far_mosaic),
    "mosaic of jpeg": (lambda: MosaicCarrier(RegionSettings(encoding="jpeg")), far_mosaic),
    "canvas": (lambda: CanvasEncoder(CanvasSettings()), far_canvas),
    "quick canvas": (lambda: CanvasEncoder(CanvasSettings(effort="quick")), far_canvas),
    "canvas of av1": (lambda: CanvasEncoder(CanvasSettings(codec="av1")), far_canvas),
    "canvas of h264": (lambda: CanvasEncoder(CanvasSettings(codec="h264")), far_canvas),
    "fine canvas": (lambda: CanvasEncoder(CanvasSettings(quantiser=18, effort="good")), far_canvas),
}
FRAMES = [(320, 240), (1280, 720), (1366, 768), (333, 251), (48, 1000), (17, 9)]


@pytest.fixture(params=KINDS)
def ends(request: pytest.FixtureRequest) -> tuple[Carrier, Far]:
    carrier, far = KINDS[request.param]
    return carrier(), far()


def some_regions(frame: Canonical) -> tuple[Region, ...]:
    width, height = frame.native_width, frame.native_height
    return (
        Region(0, 0, max(1, width // 5), max(1, height // 4)),
        Region(width // 2, height // 2, max(1, width // 3), max(1, height // 3)),
        Region(width - 1, height - 1, 1, 1),
    )


def check(carried: Carried, far: Far, image: Image, frame: Canonical, least_db: float) -> None:
    """Each placement shows the pixels of its region, at the canonical size."""
    picture = far(carried)
    for place in carried.placements:
        left, top, right, bottom = place.region.xyxy
        assert 0 <= left < right <= frame.native_width
        assert 0 <= top < bottom <= frame.native_height
        wide, high = frame.size_of(place.region)
        # A region that is no whole number of canonical pixels is shown by the next number.
        assert abs(place.width - wide) <= 1
        assert abs(place.height - high) <= 1
        shown = picture[place.y : place.y + place.height, place.x : place.x + place.width]
        assert shown.shape == (place.height, place.width, 3)
        expected = cv2.resize(
            image[top:bottom, left:right],
            (place.width, place.height),
            interpolation=cv2.INTER_AREA,
        )
        if place.width * place.height >= 256:
            assert psnr(shown, np.asarray(expected, np.uint8)) > least_db
        else:  # a handful of pixels beside a grey border: no codec is good at that
            assert psnr(shown, np.asarray(expected, np.uint8)) > 12


@pytest.mark.parametrize("size", FRAMES)
def test_placements_show_the_regions(ends: tuple[Carrier, Far], size: tuple[int, int]) -> None:
    carrier, far = ends
    frame = Canonical.of(*size, 640)
    for step in range(4):
        image = scene(*size, shift=step * 3)
        carried = carrier.encode(image, some_regions(frame), frame, PLENTY)
        check(carried, far, image, frame, 22)


@pytest.mark.parametrize("size", FRAMES)
def test_what_is_asked_is_covered(ends: tuple[Carrier, Far], size: tuple[int, int]) -> None:
    carrier, _ = ends
    frame = Canonical.of(*size, 640)
    for _ in range(3):
        carried = carrier.encode(scene(*size), some_regions(frame), frame, PLENTY)
        covered = np.zeros((size[1], size[0]), bool)
        for place in carried.placements:
            left, top, right, bottom = place.region.xyxy
            covered[top:bottom, left:right] = True
        for region in some_regions(frame):
            left, top, right, bottom = region.xyxy
            inner = covered[top + 1 : bottom - 1, left + 1 : right - 1]
            assert inner.all()


def test_a_whole_frame_is_one_region(ends: tuple[Carrier, Far]) -> None:
    carrier, far = ends
    frame = Canonical.of(1280, 720, 640)
    for step in range(3):
        image = scene(1280, 720, shift=step * 8)
        carried = carrier.encode(image, (frame.whole(),), frame, PLENTY)
        assert [place.region.xyxy for place in carried.placements] == [(0, 0, 1280, 720)]
        check(carried, far, image, frame, 25)


def test_frames_may_change_their_size(ends: tuple[Carrier, Far]) -> None:
    carrier, far = ends
    for size in [(320, 240), (240, 320), (640, 480), (320, 240)]:
        frame = Canonical.of(*size, 640)
        image = scene(*size)
        check(carrier.encode(image, some_regions(frame), frame, PLENTY), far, image, frame, 22)


def test_frames_are_lent(ends: tuple[Carrier, Far]) -> None:
    carrier, far = ends
    frame = Canonical.of(320, 240, 640)
    image = scene(320, 240)
    kept = image.copy()
    far(carrier.encode(image, some_regions(frame), frame, PLENTY))
    assert (image == kept).all()
    # The memory is given back, and holds something else by now.
    image[:] = 255
    far(carrier.encode(kept, (frame.whole(),), frame, PLENTY))
    check(carrier.encode(kept, some_regions(frame), frame, PLENTY), far, kept, frame, 22)


def test_a_failure_leaves_the_carrier_usable(ends: tuple[Carrier, Far]) -> None:
    carrier, far = ends
    frame = Canonical.of(320, 240, 640)
    image = scene(320, 240)
    with pytest.raises(InvalidInput, match="regions"):
        carrier.encode(image, (), frame, PLENTY)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="allowed"):
            carrier.encode(image, (frame.whole(),), frame, 10)
        check(carrier.encode(image, some_regions(frame), frame, PLENTY), far, image, frame, 22)


def test_after_a_loss_a_fresh_far_end_understands(ends: tuple[Carrier, Far]) -> None:
    carrier, far = ends
    frame = Canonical.of(320, 240, 640)
    image = scene(320, 240)
    carrier.encode(image, some_regions(frame), frame, PLENTY)
    lost = carrier.encode(image, some_regions(frame), frame, PLENTY)
    carrier.lost(lost.canvas)
    check(carrier.encode(image, some_regions(frame), frame, PLENTY), far, image, frame, 22)
    check(carrier.encode(image, some_regions(frame), frame, PLENTY), far, image, frame, 22)


def test_estimates_are_of_the_right_size(ends: tuple[Carrier, Far]) -> None:
    carrier, _ = ends
    frame = Canonical.of(640, 480, 640)
    few, many = (Region(64, 64, 64, 64),), (Region(64, 64, 320, 320),)
    sizes = []
    for step in range(30):
        regions = (few, many)[step % 2]
        image = scene(640, 480, shift=step % 5 * 7)
        sizes.append(len(carrier.encode(image, regions, frame, PLENTY).image))
    size = sum(sizes[11::2]) / len(sizes[11::2])
    assert carrier.estimate(few, frame) < carrier.estimate(many, frame)
    assert size / 3 < carrier.estimate(many, frame) < size * 3
    assert carrier.estimate((frame.whole(),), frame) > carrier.estimate(many, frame)


def test_what_is_carried_survives_the_wire(ends: tuple[Carrier, Far]) -> None:
    carrier, _ = ends
    frame = Canonical.of(1366, 768, 640)
    known: Opening | None = None
    for step in range(3):
        carried = carrier.encode(scene(1366, 768), some_regions(frame), frame, PLENTY)
        asked = Escalation(
            request_id=f"#{step}",
            camera="gate",
            sequence=step,
            captured_at=0.0,
            frame_width=1366,
            frame_height=768,
            image=carried.image,
            encoding=carried.encoding,
            placements=carried.placements,
            purpose=Purpose.AUDIT,
            canvas=carried.canvas,
        )
        if carried.canvas is None:
            assert request_from_proto(request_to_proto(asked)) == asked
            continue
        message = update_to_proto(asked, known)
        back, known = update_from_proto(message, known, asked.request_id)
        assert back.placements == asked.placements
        assert back.image == asked.image
        assert back.purpose is asked.purpose
        assert back.canvas is not None
        assert back.canvas.check == carried.canvas.check
        with pytest.raises(InvalidInput, match="session"):
            request_to_proto(asked)
