from dataclasses import replace

import numpy as np
import pytest

from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import (
    Detections,
    Escalation,
    ImageEncoding,
    Placement,
    Purpose,
    Region,
    Verdict,
    VerdictTimings,
)
from secondlook.shared.wire.escalation import (
    MAX_DETECTIONS,
    MAX_REASON,
    request_from_proto,
    request_to_proto,
    verdict_from_proto,
    verdict_to_proto,
)

ASKED = Escalation(
    request_id="r-1",
    camera="site/cam",
    sequence=7,
    captured_at=1_700_000_000.25,
    frame_width=640,
    frame_height=384,
    image=b"bytes",
    encoding=ImageEncoding.WEBP,
    placements=(
        Placement(Region(0, 0, 64, 48), 0, 0, 64, 48),
        Placement(Region(100, 50, 200, 100), 64, 0, 100, 50),
    ),
    purpose=Purpose.AUDIT,
    useful_for_s=1.5,
    min_score=0.25,
    model="heavy",
)


def test_a_request_survives_the_wire() -> None:
    wire = request_to_proto(ASKED).SerializeToString()
    assert request_from_proto(pb.EscalateRequest.FromString(wire)) == ASKED


def test_an_unscaled_region_costs_no_image_size() -> None:
    first, second = request_to_proto(ASKED).regions
    assert (first.image_width, first.image_height) == (0, 0)
    assert (second.image_width, second.image_height) == (100, 50)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("request_id", "", "request_id"),
        ("request_id", "x" * 65, "request_id"),
        ("request_id", "ü", "request_id"),
        ("camera", "c" * 129, "camera"),
        ("camera", "a\nb", "camera"),
        ("image", b"", "image"),
        ("encoding", 0, "encoding"),
        ("encoding", 99, "encoding"),
        ("min_score", float("nan"), "min_score"),
        ("min_score", 1.5, "min_score"),
        ("frame_sequence", 2**64 - 1, "frame_sequence"),
        ("useful_for_ms", 2**32 - 1, "useful_for"),
    ],
)
def test_a_hostile_field_is_refused_by_name(field: str, value: object, named: str) -> None:
    message = request_to_proto(ASKED)
    setattr(message, field, value)
    with pytest.raises(InvalidInput, match=named):
        request_from_proto(message)


@pytest.mark.parametrize(
    ("width", "height"), [(0, 0), (60_000, 60_000), (16_384, 16_384), (2**32 - 1, 1)]
)
def test_an_absurd_frame_is_refused(width: int, height: int) -> None:
    message = request_to_proto(ASKED)
    message.frame_size.width, message.frame_size.height = width, height
    with pytest.raises(InvalidInput, match="frame_size"):
        request_from_proto(message)


def test_too_few_and_too_many_regions_are_refused() -> None:
    message = request_to_proto(ASKED)
    del message.regions[:]
    with pytest.raises(InvalidInput, match="regions"):
        request_from_proto(message)
    message.regions.extend(pb.Region(width=1, height=1) for _ in range(257))
    with pytest.raises(InvalidInput, match="regions"):
        request_from_proto(message)


def test_a_region_outside_the_frame_is_refused() -> None:
    message = request_to_proto(ASKED)
    message.regions[0].x = 600
    with pytest.raises(InvalidInput, match="leaves the frame"):
        request_from_proto(message)


def test_a_region_with_half_a_size_is_refused() -> None:
    message = request_to_proto(ASKED)
    message.regions[0].image_width = 3
    with pytest.raises(InvalidInput, match="image_width"):
        request_from_proto(message)


def test_an_unknown_purpose_from_a_newer_edge_reads_as_unsure() -> None:
    message = request_to_proto(ASKED)
    message.purpose = 77  # type: ignore[assignment]
    assert request_from_proto(message).purpose is Purpose.UNSURE


VERDICT = Verdict(
    "r-1",
    "site/cam",
    7,
    ASKED.regions,
    Detections.of([[1, 2, 3, 4], [5, 6, 7, 8]], [0.5, 0.75], [2, 0], ("person", "bicycle", "car")),
    "heavy",
    "3",
    Purpose.AUDIT,
    VerdictTimings(0.001, 0.002, 0.003, 0.006),
    "int8",
    "fp32 took 140 ms, objective 100 ms",
)


def test_a_verdict_survives_the_wire_with_only_the_names_that_occur() -> None:
    wire = verdict_to_proto(VERDICT).SerializeToString()
    message = pb.EscalateResponse.FromString(wire)
    assert list(message.detections.class_names) == ["person", "car"]
    verdict = verdict_from_proto(message, ASKED)
    np.testing.assert_array_equal(verdict.detections.boxes, VERDICT.detections.boxes)
    assert verdict.detections.class_names() == ["car", "person"]
    assert verdict.timings == VERDICT.timings
    assert (verdict.purpose, verdict.sequence) == (Purpose.AUDIT, 7)
    assert (verdict.variant, verdict.reason) == ("int8", "fp32 took 140 ms, objective 100 ms")


def test_a_reason_is_cut_on_either_side() -> None:
    message = verdict_to_proto(replace(VERDICT, reason="x" * 1000))
    assert len(message.choice_reason) == MAX_REASON
    message.choice_reason = "y" * 100_000
    assert len(verdict_from_proto(message, ASKED).reason) == MAX_REASON


def test_an_empty_verdict_survives_the_wire() -> None:
    empty = replace(VERDICT, detections=Detections.empty(("person",)))
    message = pb.EscalateResponse.FromString(verdict_to_proto(empty).SerializeToString())
    assert len(verdict_from_proto(message, ASKED).detections) == 0


def test_a_verdict_for_another_question_is_refused() -> None:
    message = verdict_to_proto(VERDICT)
    message.request_id = "other"
    with pytest.raises(InvalidInput, match="other"):
        verdict_from_proto(message, ASKED)


def _spoil(name: str, message: pb.EscalateResponse) -> None:
    array = message.detections
    if name == "short boxes":
        del array.boxes[-1]
    elif name == "class outside":
        array.classes[0] = 9
    elif name == "nan":
        array.boxes[0] = float("nan")
    elif name == "inverted":
        array.boxes[0] = 99
    elif name == "score":
        array.scores[0] = 1.5
    elif name == "flood":
        array.scores.extend([0.1] * MAX_DETECTIONS)


@pytest.mark.parametrize(
    "how", ["short boxes", "class outside", "nan", "inverted", "score", "flood"]
)
def test_malformed_boxes_are_refused(how: str) -> None:
    message = verdict_to_proto(VERDICT)
    _spoil(how, message)
    with pytest.raises(InvalidInput):
        verdict_from_proto(message, ASKED)
