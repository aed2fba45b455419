"""Escalations and verdicts on the wire."""

from __future__ import annotations

import numpy as np

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

MAX_DETECTIONS = 4096
MAX_CLASS_NAMES = 4096
MAX_REASON = 300
"""Characters of a reason that travel, and that are taken over."""

_ENCODING_TO_PROTO = {
    ImageEncoding.JPEG: pb.IMAGE_ENCODING_JPEG,
    ImageEncoding.WEBP: pb.IMAGE_ENCODING_WEBP,
    ImageEncoding.PNG: pb.IMAGE_ENCODING_PNG,
}
_ENCODING_FROM_PROTO = {proto: value for value, proto in _ENCODING_TO_PROTO.items()}

PURPOSE_TO_PROTO = {
    Purpose.UNSURE: pb.PURPOSE_UNSURE,
    Purpose.AUDIT: pb.PURPOSE_AUDIT,
    Purpose.REFRESH: pb.PURPOSE_REFRESH,
}
PURPOSE_FROM_PROTO = {proto: value for value, proto in PURPOSE_TO_PROTO.items()}


def request_to_proto(escalation: Escalation) -> pb.EscalateRequest:
    """The message of an escalation.

    Raises:
        InvalidInput: it is an update of a canvas, which means nothing by itself.
    """
    if escalation.canvas is not None:
        raise InvalidInput(f"{escalation.request_id} is an update of a canvas: it needs a session")
    return pb.EscalateRequest(
        request_id=escalation.request_id,
        camera=escalation.camera,
        frame_sequence=escalation.sequence,
        frame_size=pb.FrameSize(width=escalation.frame_width, height=escalation.frame_height),
        image=escalation.image,
        encoding=_ENCODING_TO_PROTO[escalation.encoding],
        regions=[_placement_to_proto(placement) for placement in escalation.placements],
        purpose=PURPOSE_TO_PROTO[escalation.purpose],
        useful_for_ms=(
            0 if escalation.useful_for_s is None else max(1, round(escalation.useful_for_s * 1000))
        ),
        min_score=escalation.min_score,
        model=escalation.model,
        captured_at_ms=round(escalation.captured_at * 1000),
    )


def request_from_proto(message: pb.EscalateRequest) -> Escalation:
    """The escalation of a message.

    Raises:
        InvalidInput: a field is missing or outside its limits; the message names it.
    """
    encoding = _ENCODING_FROM_PROTO.get(message.encoding)
    if encoding is None:
        raise InvalidInput(f"encoding {message.encoding} is unknown; JPEG, WebP or PNG expected")
    return Escalation(
        request_id=message.request_id,
        camera=message.camera,
        sequence=message.frame_sequence,
        captured_at=message.captured_at_ms / 1000,
        frame_width=message.frame_size.width,
        frame_height=message.frame_size.height,
        image=message.image,
        encoding=encoding,
        placements=tuple(_placement_from_proto(region) for region in message.regions[:257]),
        # An unknown purpose comes from a newer edge: read as the default, as the wire rules say.
        purpose=PURPOSE_FROM_PROTO.get(message.purpose, Purpose.UNSURE),
        useful_for_s=message.useful_for_ms / 1000 if message.useful_for_ms else None,
        min_score=message.min_score,
        model=message.model,
    )


def verdict_to_proto(verdict: Verdict) -> pb.EscalateResponse:
    """The message of a verdict. Only class names that occur travel."""
    timings = verdict.timings
    return pb.EscalateResponse(
        request_id=verdict.request_id,
        detections=detections_to_proto(verdict.detections),
        model=verdict.model,
        model_version=verdict.version,
        timings=pb.Timings(
            decode_us=_microseconds(timings.decode_s),
            queue_us=_microseconds(timings.queue_s),
            infer_us=_microseconds(timings.infer_s),
            total_us=_microseconds(timings.total_s),
        ),
        model_variant=verdict.variant,
        choice_reason=verdict.reason[:MAX_REASON],
    )


def verdict_from_proto(message: pb.EscalateResponse, asked: Escalation) -> Verdict:
    """The verdict of a message, given what was asked.

    Raises:
        InvalidInput: it answers another request, or its boxes are malformed.
    """
    if message.request_id != asked.request_id:
        raise InvalidInput(
            f"verdict answers {message.request_id!r}, {asked.request_id!r} was asked"
        )
    timings = message.timings
    return Verdict(
        request_id=asked.request_id,
        camera=asked.camera,
        sequence=asked.sequence,
        regions=asked.regions,
        detections=detections_from_proto(message.detections),
        model=message.model,
        version=message.model_version,
        purpose=asked.purpose,
        timings=VerdictTimings(
            timings.decode_us / 1e6,
            timings.queue_us / 1e6,
            timings.infer_us / 1e6,
            timings.total_us / 1e6,
        ),
        variant=message.model_variant[:MAX_REASON],
        reason=message.choice_reason[:MAX_REASON],
    )


def detections_to_proto(detections: Detections) -> pb.DetectionArray:
    """Parallel arrays, with only the class names that occur."""
    # Plain Python: for the handful of boxes of a verdict, np.unique costs ten times as much.
    classes = detections.classes.tolist()
    occurring = sorted(set(classes))
    place = {index: n for n, index in enumerate(occurring)}
    return pb.DetectionArray(
        boxes=detections.boxes.ravel().tolist(),
        scores=detections.scores.tolist(),
        classes=[place[index] for index in classes],
        class_names=[detections.names[index] for index in occurring],
    )


def detections_from_proto(message: pb.DetectionArray) -> Detections:
    """The boxes of a message, over the class names that occur in it.

    Raises:
        InvalidInput: lengths disagree, too many boxes, or a number is out of range.
    """
    n = len(message.scores)
    if n > MAX_DETECTIONS or len(message.class_names) > MAX_CLASS_NAMES:
        raise InvalidInput(f"{n} detections; at most {MAX_DETECTIONS} are accepted")
    if len(message.boxes) != 4 * n or len(message.classes) != n:
        raise InvalidInput(
            f"detections disagree in length: {len(message.boxes)} box numbers, "
            f"{n} scores, {len(message.classes)} classes"
        )
    classes = np.array(message.classes, np.uint32)
    if n and classes.max() >= len(message.class_names):
        raise InvalidInput("a detection's class is outside class_names")
    return Detections.of(
        np.array(message.boxes, np.float32).reshape(n, 4),
        np.array(message.scores, np.float32),
        classes.astype(np.int32),
        message.class_names,
    )


def _placement_to_proto(placement: Placement) -> pb.Region:
    region = placement.region
    scaled = (placement.width, placement.height) != (region.width, region.height)
    return pb.Region(
        x=region.x,
        y=region.y,
        width=region.width,
        height=region.height,
        image_x=placement.x,
        image_y=placement.y,
        image_width=placement.width if scaled else 0,
        image_height=placement.height if scaled else 0,
    )


def _placement_from_proto(message: pb.Region) -> Placement:
    region = Region(message.x, message.y, message.width, message.height)
    if (message.image_width == 0) != (message.image_height == 0):
        raise InvalidInput("region has an image_width without an image_height, or the reverse")
    return Placement(
        region,
        message.image_x,
        message.image_y,
        message.image_width or message.width,
        message.image_height or message.height,
    )


def _microseconds(seconds: float) -> int:
    return min(2**32 - 1, max(0, round(seconds * 1e6)))
