"""Outside of the regions that were asked about, nothing of a frame leaves the site.

Proved on payloads: where everything outside changes, not a byte of what is sent does. The regions
are those on record, on the grid of 16 canonical pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.canvas import scene
from support.edge import NAMES, frame, seen, verdict

from secondlook.edge.carrier import CanvasEncoder, CanvasSettings, Carried, Carrier, MosaicCarrier
from secondlook.edge.decisions import DecisionSettings, FrameRecord, Recorder, SentRecord
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings, RegionSettings
from secondlook.edge.regions import Canonical, regions_around
from secondlook.shared.clock import ManualClock
from secondlook.shared.values import Region

MAX_BYTES = 200_000
SIZES = [(320, 240), (1280, 720), (333, 251)]


def canonical(size: tuple[int, int]) -> Canonical:
    return Canonical.of(*size, 640)


def regions(boxes: list[tuple[float, ...]], frame: Canonical) -> tuple[Region, ...]:
    return regions_around(
        np.array(boxes, np.float32), [""] * len(boxes), frame, RegionSettings(full_share=1.0)
    )


def another(image: np.ndarray, carried: Carried) -> np.ndarray:
    """A frame that differs everywhere but in the regions that were sent."""
    other = 255 - image
    for place in carried.placements:
        left, top, right, bottom = place.region.xyxy
        other[top:bottom, left:right] = image[top:bottom, left:right]
    return other


def boxes_of(size: tuple[int, int]) -> list[tuple[float, ...]]:
    width, height = size
    return [
        (0.1 * width, 0.2 * height, 0.2 * width, 0.4 * height),
        (0.62 * width, 0.55 * height, 0.7 * width, 0.8 * height),
    ]


def settled(make: Callable[[], Carrier], size: tuple[int, int]) -> Carrier:
    """A carrier after its first whole frame, which is what a canvas begins with."""
    carrier, frame = make(), canonical(size)
    carrier.encode(scene(*size), (frame.whole(),), frame, MAX_BYTES)
    return carrier


MOSAIC: Callable[[], Carrier] = lambda: MosaicCarrier(RegionSettings())  # noqa: E731
JPEG: Callable[[], Carrier] = lambda: MosaicCarrier(RegionSettings(encoding="jpeg"))  # noqa: E731
CANVAS: Callable[[], Carrier] = lambda: CanvasEncoder(CanvasSettings())  # noqa: E731


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("make", [MOSAIC, JPEG, CANVAS], ids=["mosaic", "jpeg", "canvas"])
def test_pixels_outside_of_the_regions_change_not_a_byte(
    make: Callable[[], Carrier], size: tuple[int, int]
) -> None:
    frame, image = canonical(size), scene(*size, shift=40)
    asked = regions(boxes_of(size), frame)
    first = settled(make, size).encode(image, asked, frame, MAX_BYTES)
    other = another(image, first)
    assert (other != image).mean() > 0.5
    second = settled(make, size).encode(other, asked, frame, MAX_BYTES)
    assert second.image == first.image
    assert second.placements == first.placements
    # And what lies inside does reach the payload.
    inside = image.copy()
    left, top, right, bottom = asked[0].xyxy
    inside[top:bottom, left:right] = 255 - inside[top:bottom, left:right]
    assert settled(make, size).encode(inside, asked, frame, MAX_BYTES).image != first.image


@pytest.mark.parametrize("make", [MOSAIC, CANVAS], ids=["mosaic", "canvas"])
@given(
    st.lists(
        st.tuples(st.floats(0, 290), st.floats(0, 210), st.floats(2, 90), st.floats(2, 90)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=12, deadline=None)
def test_that_holds_for_any_boxes(
    make: Callable[[], Carrier], sides: list[tuple[float, float, float, float]]
) -> None:
    size = (320, 240)
    frame, image = canonical(size), scene(*size, shift=40)
    boxes: list[tuple[float, ...]] = [
        (x, y, min(320, x + w), min(240, y + h)) for x, y, w, h in sides
    ]
    asked = regions(boxes, frame)
    first = settled(make, size).encode(image, asked, frame, MAX_BYTES)
    second = settled(make, size).encode(another(image, first), asked, frame, MAX_BYTES)
    assert second.image == first.image


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("make", [MOSAIC, CANVAS], ids=["mosaic", "canvas"])
def test_what_is_sent_covers_what_was_asked_and_little_more(
    make: Callable[[], Carrier], size: tuple[int, int]
) -> None:
    frame = canonical(size)
    asked = regions(boxes_of(size), frame)
    carried = settled(make, size).encode(scene(*size), asked, frame, MAX_BYTES)
    # A block of the grid on each side, in native pixels, and one for rounding.
    slack = 16 * size[0] / frame.width + 1
    for place in carried.placements:
        left, top, right, bottom = place.region.xyxy
        assert any(
            one.xyxy[0] - slack <= left
            and one.xyxy[1] - slack <= top
            and right <= one.xyxy[2] + slack
            and bottom <= one.xyxy[3] + slack
            for one in asked
        ), "more than a block beyond every region"


def test_a_mosaic_decodes_to_its_regions_and_grey() -> None:
    size = (320, 240)
    frame, image = canonical(size), scene(*size, shift=40)
    carried = MOSAIC().encode(image, regions(boxes_of(size), frame), frame, MAX_BYTES)
    decoded = cv2.imdecode(np.frombuffer(carried.image, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    left = np.ones(decoded.shape[:2], bool)
    for place in carried.placements:
        rows, columns = (
            slice(place.y, place.y + place.height),
            slice(place.x, place.x + place.width),
        )
        left[rows, columns] = False
        x1, y1, x2, y2 = place.region.xyxy
        assert np.abs(decoded[rows, columns].astype(int) - image[y1:y2, x1:x2]).mean() < 8
    # The codec smears a block's width of what lies beside it, which was sent anyway.
    beyond = cv2.erode(left.astype(np.uint8), np.ones((33, 33), np.uint8)).astype(bool)
    assert (np.abs(decoded.astype(int) - 114)[beyond] <= 6).all()


def test_a_canvas_decodes_to_the_old_frame_outside_of_the_regions() -> None:
    size = (320, 240)
    frame = canonical(size)
    encoder = CanvasEncoder(CanvasSettings())
    units = [encoder.encode(scene(*size), (frame.whole(),), frame, MAX_BYTES)]
    moved = 255 - scene(*size, shift=80)
    units.append(encoder.encode(moved, regions(boxes_of(size), frame), frame, MAX_BYTES))
    decoder = av.CodecContext.create("h264", "r")
    pictures = []
    for unit in units:
        pictures += decoder.decode(av.Packet(unit.image))  # type: ignore[attr-defined]
    pictures += decoder.decode(None)  # type: ignore[attr-defined]
    before, after = (picture.to_ndarray(format="bgr24").astype(int) for picture in pictures)
    outside = np.ones(before.shape[:2], bool)
    for place in units[1].placements:
        x1, y1, x2, y2 = place.region.xyxy
        outside[y1:y2, x1:x2] = False
        assert np.abs(after[y1:y2, x1:x2] - moved[y1:y2, x1:x2]).mean() < 12
    # The deblocking filter touches up to 3 pixels beyond a block that changed; chroma twice that.
    beyond = cv2.erode(outside.astype(np.uint8), np.ones((17, 17), np.uint8)).astype(bool)
    assert beyond.mean() > 0.3
    # An update may sharpen what it shows of the old frame; of the new one it has nothing.
    assert np.abs(after - before)[beyond].mean() < 1
    assert np.abs(after - before)[beyond].max() <= 16
    assert np.abs(moved.astype(int) - before)[beyond].mean() > 50


def test_the_record_says_what_left() -> None:
    settings = PipelineSettings.model_validate(
        {"trust": {"audit_rate": 0.0}, "gate": {"threshold": 0.03}}
    )
    recorder = Recorder(DecisionSettings(pictures="none"), settings, None)
    pipeline = CameraPipeline(
        "gate", settings, NAMES, ManualClock(), session="s", recorder=recorder
    )
    image = scene(320, 240)
    asked = None
    for number, boxes in enumerate([(), (((100, 100, 140, 140), 0.45, "car"),)]):
        shown = frame(number, image)
        answer = pipeline.answer(shown, seen(*boxes))
        asked = pipeline.escalation(shown, answer)
        assert asked is not None
        pipeline.apply(verdict(asked))
    records = recorder.take()
    sent = [one for one in records if isinstance(one, SentRecord)]
    wanted = [one for one in records if isinstance(one, FrameRecord)]
    assert asked is not None
    assert sent[0].regions == ((0, 0, 320, 240),)
    assert sent[1].size == len(asked.image)
    assert sent[1].regions == tuple((one.x, one.y, one.width, one.height) for one in asked.regions)
    assert sent[1].regions == wanted[1].regions
    assert (sent[1].request_id, sent[1].quality) == (asked.request_id, 85)
