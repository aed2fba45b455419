from __future__ import annotations

from dataclasses import replace

import pytest

from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import (
    CanvasUpdate,
    Escalation,
    ImageEncoding,
    Placement,
    Purpose,
    Region,
)
from secondlook.shared.values.canvas import Blocks, chained
from secondlook.shared.values.escalation import canvas_placements
from secondlook.shared.wire.canvas import Opening, update_from_proto, update_to_proto


def update(*rectangles: Blocks, key: bool = False, captured_at: float = 1000.0) -> Escalation:
    canvas = CanvasUpdate(640, 360, chained(b"unit", 0), key, rectangles, epoch=3)
    return Escalation(
        request_id="q-1",
        camera="museum/gate",
        sequence=41,
        captured_at=captured_at,
        frame_width=1920,
        frame_height=1080,
        image=b"unit",
        encoding=ImageEncoding.H264,
        placements=canvas_placements(canvas, (1920, 1080)),
        purpose=Purpose.AUDIT,
        useful_for_s=10.0,
        min_score=0.25,
        model="heavy",
        canvas=canvas,
    )


def test_an_update_comes_back_as_it_was_but_for_what_is_the_encoders_own() -> None:
    key = update(key=True)
    message = update_to_proto(key, None)
    back, opening = update_from_proto(message, None, "q-1")
    assert back.canvas is not None
    assert back == replace(key, canvas=replace(key.canvas, epoch=0))
    # Regions are of the native frame, where the canvas is a third of it.
    part = update((2, 3, 4, 1), (38, 21, 2, 2))
    back, again = update_from_proto(update_to_proto(part, opening), opening, "q-1")
    assert again is opening
    assert [region.xyxy for region in back.regions] == [
        (96, 144, 288, 192),
        (1824, 1008, 1920, 1080),
    ]


def test_what_is_the_same_is_sent_once() -> None:
    opening = Opening.of(update(key=True))
    message = update_to_proto(update((2, 3, 4, 1)), opening)
    assert not message.HasField("opening")
    assert message.ByteSize() <= len(b"unit") + 18
    other = replace(update((2, 3, 4, 1)), model="other")
    assert update_to_proto(other, opening).opening.model == "other"


def test_whole_frames_tell_when_they_were_taken() -> None:
    opening = Opening.of(update(key=True, captured_at=1000.0))
    later = update(captured_at=1060.25)
    back, _ = update_from_proto(update_to_proto(later, opening), opening, "q")
    assert back.captured_at == 1060.25
    earlier = update(captured_at=999.5)  # its clock was put back
    back, _ = update_from_proto(update_to_proto(earlier, opening), opening, "q")
    assert back.captured_at == 999.5
    part = update_to_proto(update((2, 3, 4, 1), captured_at=1060.25), opening)
    assert part.captured_after_ms == 0


@pytest.mark.parametrize(
    ("packed", "expected"),
    [
        (b"abc", "rectangles have 3 bytes"),
        (bytes(4) * 257, "at most 256"),
        (bytes([0, 0, 0, 1]), "leaves the canvas"),
        (bytes([39, 0, 2, 1]), "leaves the canvas"),
        (bytes([255, 255, 255, 255]), "leaves the canvas"),
    ],
)
def test_hostile_rectangles_are_refused(packed: bytes, expected: str) -> None:
    opening = Opening.of(update(key=True))
    message = pb.CanvasUpdate(unit=b"unit", rectangles=packed)
    with pytest.raises(InvalidInput, match=expected):
        update_from_proto(message, opening, "q")


def test_a_first_update_without_opening_is_refused() -> None:
    with pytest.raises(InvalidInput, match="opening"):
        update_from_proto(pb.CanvasUpdate(unit=b"unit"), None, "q")


def test_a_canvas_and_its_encoding_belong_together() -> None:
    with pytest.raises(InvalidInput, match="h264"):
        replace(update(key=True), canvas=None)
    with pytest.raises(InvalidInput, match="h264"):
        replace(update(key=True), encoding=ImageEncoding.WEBP)
    still = replace(
        update(key=True),
        encoding=ImageEncoding.WEBP,
        canvas=None,
        placements=(Placement(Region(0, 0, 9, 9), 0, 0, 9, 9),),
    )
    with pytest.raises(InvalidInput, match="no update of a canvas"):
        update_to_proto(still, None)
