"""What is asked, packed: by a canvas where that is possible, alone where it must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.edge import frame, textured

from secondlook.edge.carrier import (
    CanvasEncoder,
    CanvasSettings,
    MosaicCarrier,
    make_carrier,
    making,
)
from secondlook.edge.packing import Packer
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    MissingDependency,
    Overloaded,
    SecondlookError,
    StateLost,
    Unavailable,
)
from secondlook.shared.values import Escalation, ImageEncoding, Purpose, Region

ROOM = textured()
WHOLE = (Region(0, 0, 320, 240),)
PART = (Region(32, 32, 64, 64),)


class Desk:
    """A packer with a canvas, and what it packs."""

    def __init__(self) -> None:
        self.canvas = CanvasEncoder(CanvasSettings(effort="quick"))
        self.packer = Packer(PipelineSettings(), self.canvas)
        self.sequence = -1

    def pack(
        self,
        regions: tuple[Region, ...] = WHOLE,
        purpose: Purpose = Purpose.AUDIT,
        *,
        alone: bool = False,
        image: np.ndarray = ROOM,
    ) -> Escalation:
        self.sequence += 1
        ref = frame(self.sequence, image).ref
        carried = self.packer.encode(image, regions, ref, alone=alone)
        escalation = Escalation(
            request_id=f"s-{self.sequence}",
            camera="gate",
            sequence=self.sequence,
            captured_at=ref.captured_at,
            frame_width=ref.width,
            frame_height=ref.height,
            image=carried.image,
            encoding=carried.encoding,
            placements=carried.placements,
            canvas=carried.canvas,
            purpose=purpose,
            min_score=0.25,
            model="",
        )
        self.packer.packed(escalation, image)
        return escalation


def test_an_audit_that_did_not_get_through_is_packed_again_as_a_picture() -> None:
    desk = Desk()
    lent = ROOM.copy()
    asked = desk.pack(image=lent)
    assert asked.encoding is ImageEncoding.H264
    lent[:] = 0
    alone = desk.packer.by_itself(asked)
    assert alone is not None
    assert alone.canvas is None
    assert alone.encoding is ImageEncoding.WEBP
    assert (alone.request_id, alone.regions, alone.purpose) == ("s-0", WHOLE, Purpose.AUDIT)
    assert len(alone.image) > 2000, "the picture as it was, not the memory as it is now"
    assert desk.packer.by_itself(asked) is None, "its picture is held once"


def test_what_is_no_update_of_a_canvas_is_packed_already() -> None:
    desk = Desk()
    asked = desk.pack(alone=True)
    assert desk.packer.by_itself(asked) is asked


def test_pictures_of_few_audits_are_held_and_of_no_other_question() -> None:
    desk = Desk()
    unsure = desk.pack(PART, Purpose.UNSURE)
    audits = [desk.pack() for _ in range(6)]
    assert desk.packer.by_itself(unsure) is None
    assert [desk.packer.by_itself(asked) is None for asked in audits] == [True] * 2 + [False] * 4
    settled = desk.pack()
    desk.packer.settled(settled.request_id)
    assert desk.packer.by_itself(settled) is None


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (None, True),
        (StateLost("gone"), True),
        (Unavailable("did it arrive?"), True),
        (DeadlineExceeded("late"), False),
        (Overloaded("full"), False),
        (InvalidInput("no"), False),
    ],
)
def test_only_what_did_not_surely_arrive_costs_a_key_frame(
    error: SecondlookError | None, key: bool
) -> None:
    desk = Desk()
    desk.pack()
    asked = desk.pack(PART, Purpose.UNSURE)
    desk.packer.not_sent(asked, error)
    after = desk.pack(PART, Purpose.UNSURE)
    assert after.canvas is not None
    assert after.canvas.key is key


def test_boxes_that_one_key_frame_would_show_share_its_bytes() -> None:
    desk = Desk()
    boxes = np.array([[20, 20, 60, 60], [200, 100, 240, 140], [100, 150, 130, 200]], np.float32)
    canonical = desk.packer.canonical(320, 240)
    key = desk.packer.estimate(WHOLE, canonical)
    two = desk.packer.bytes_of(boxes, canonical, np.array([0, 2]))
    assert two.tolist() == [key / 2, 0.0, key / 2], "the cloud has no canvas yet"
    short = desk.packer.bytes_of(boxes, canonical, np.array([0, 2]), key - 1)
    assert short.tolist() == [key, 0.0, key], "half a key frame cannot be sent"
    desk.pack()
    known = desk.packer.bytes_of(boxes, canonical, np.array([0, 2]))
    alone = [desk.packer.bytes_of(boxes, canonical, np.array([row]))[row] for row in (0, 2)]
    assert known.tolist() == [alone[0], 0.0, alone[1]], "now each costs what it changes"
    assert 0 < known.sum() < key
    assert desk.packer.bytes_of(boxes, canonical, np.array([], np.intp)).tolist() == [0.0] * 3


def test_a_cloud_that_takes_no_canvases_gets_pictures_at_their_price() -> None:
    desk = Desk()
    desk.pack()
    canonical = desk.packer.canonical(320, 240)
    cheap = desk.packer.estimate(PART, canonical)
    desk.packer.stateless = True
    assert desk.pack(PART, Purpose.UNSURE).canvas is None
    assert desk.packer.estimate(PART, canonical) > 3 * cheap
    desk.packer.stateless = False
    assert desk.pack(PART, Purpose.UNSURE).canvas is not None


def test_a_picture_that_cannot_be_made_small_enough_is_given_up() -> None:
    desk = Desk()
    asked = desk.pack()
    small = PipelineSettings.model_validate({"gate": {"max_bytes": 2000}})
    desk.packer._settings = small
    assert desk.packer.by_itself(replace(asked)) is None


def test_the_settings_choose_the_carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(name: str) -> type:
        return type(make_carrier(PipelineSettings.model_validate({"regions": {"carrier": name}})))

    assert (kind("auto"), kind("canvas"), kind("mosaic")) == (
        CanvasEncoder,
        CanvasEncoder,
        MosaicCarrier,
    )
    assert isinstance(make_carrier(PipelineSettings(), "mosaic"), MosaicCarrier)
    monkeypatch.setattr(making, "has_x264", lambda: False)
    assert kind("canvas") is CanvasEncoder
    monkeypatch.setattr(making, "has_av1", lambda: False)
    assert (kind("auto"), kind("mosaic")) == (MosaicCarrier, MosaicCarrier)
    with pytest.raises(MissingDependency, match="libx264"):
        kind("canvas")
