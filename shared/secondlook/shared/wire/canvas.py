"""Updates of a canvas on the wire: what stays the same in a stream is sent once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import CanvasUpdate, Escalation, ImageEncoding, Verdict
from secondlook.shared.values.canvas import MAX_RECTANGLES, Blocks, VideoCodec
from secondlook.shared.values.escalation import canvas_placements
from secondlook.shared.wire.escalation import (
    PURPOSE_FROM_PROTO,
    PURPOSE_TO_PROTO,
    verdict_from_proto,
)

_RECTANGLE_BYTES = 4
_CODEC_TO_PROTO = {VideoCodec.H264: pb.CANVAS_CODEC_H264, VideoCodec.AV1: pb.CANVAS_CODEC_AV1}
_CODEC_FROM_PROTO = {number: codec for codec, number in _CODEC_TO_PROTO.items()}


@dataclass(frozen=True, slots=True)
class Opening:
    """What holds for all updates of a stream until the next opening.

    Attributes:
        camera: id of the camera.
        frame_width, frame_height: size of the native frame, pixels.
        width, height: size of the canvas, pixels.
        codec: of its units.
        min_score: boxes below are not wanted; 0 for the model's default.
        model: name of the model; empty for the service's default.
        useful_for_s: for how long an answer is useful; ``None``: as the service likes.
        captured_at: wall clock of the capture of its first update, seconds since the Unix epoch.
            Openings that differ in it alone are equal.
    """

    camera: str
    frame_width: int
    frame_height: int
    width: int
    height: int
    codec: VideoCodec = VideoCodec.H264
    min_score: float = 0.0
    model: str = ""
    useful_for_s: float | None = None
    captured_at: float = field(default=0.0, compare=False)

    @classmethod
    def of(cls, escalation: Escalation, known: Opening | None = None) -> Opening:
        """The opening under which an update can be sent: ``known``, where that still holds.

        Raises:
            InvalidInput: it is no update of a canvas.
        """
        canvas = _canvas(escalation)
        opening = cls(
            escalation.camera,
            escalation.frame_width,
            escalation.frame_height,
            canvas.width,
            canvas.height,
            canvas.codec,
            escalation.min_score,
            escalation.model,
            escalation.useful_for_s,
            escalation.captured_at,
        )
        return known if known is not None and known == opening else opening


def update_to_proto(escalation: Escalation, known: Opening | None) -> pb.CanvasUpdate:
    """The message of an update.

    Args:
        escalation: an update of a canvas.
        known: the opening that was sent last on this stream; ``None`` before the first.

    Raises:
        InvalidInput: it is no update of a canvas.
    """
    canvas, opening = _canvas(escalation), Opening.of(escalation, known)
    message = pb.CanvasUpdate(
        unit=escalation.image,
        check=canvas.check,
        rectangles=b"".join(map(bytes, canvas.rectangles)),
        frame_sequence=escalation.sequence,
        key_frame=canvas.key,
    )
    purpose = PURPOSE_TO_PROTO[escalation.purpose]
    if purpose != pb.PURPOSE_UNSURE:
        # Absent is read as UNSURE.
        message.purpose = purpose
    if opening is not known:
        message.opening.CopyFrom(_opening_to_proto(opening))
    elif not canvas.rectangles:
        message.captured_after_ms = round((escalation.captured_at - opening.captured_at) * 1000)
    return message


def update_from_proto(
    message: pb.CanvasUpdate, known: Opening | None, request_id: str
) -> tuple[Escalation, Opening]:
    """The escalation of a message, and the opening that holds from it on.

    Args:
        message: an update.
        known: the opening before it; ``None`` before the first.
        request_id: what to call it.

    Raises:
        InvalidInput: a field is missing or outside its limits; the message names it.
    """
    opening = known
    if message.HasField("opening"):
        opening = _opening_from_proto(message.opening)
    if opening is None:
        raise InvalidInput("opening is missing in the first update of a stream")
    canvas = CanvasUpdate(
        opening.width,
        opening.height,
        message.check,
        message.key_frame,
        _rectangles(message.rectangles),
        codec=opening.codec,
    )
    escalation = Escalation(
        request_id=request_id,
        camera=opening.camera,
        sequence=message.frame_sequence,
        # Of regions it is not told when exactly: not before the opening.
        captured_at=opening.captured_at + message.captured_after_ms / 1000,
        frame_width=opening.frame_width,
        frame_height=opening.frame_height,
        image=message.unit,
        encoding=ImageEncoding(opening.codec.value),
        placements=canvas_placements(canvas, (opening.frame_width, opening.frame_height)),
        purpose=PURPOSE_FROM_PROTO.get(message.purpose, PURPOSE_FROM_PROTO[pb.PURPOSE_UNSURE]),
        useful_for_s=opening.useful_for_s,
        min_score=opening.min_score,
        model=opening.model,
        canvas=canvas,
    )
    return escalation, opening


def canvas_verdict_from_proto(
    message: pb.EscalateResponse, asked: Escalation, model_before: tuple[str, str]
) -> Verdict:
    """The verdict of a message on a canvas, given what was asked.

    Raises:
        InvalidInput: it answers another request, or its boxes are malformed.
    """
    if message.request_id:
        raise InvalidInput(f"verdict answers {message.request_id[:64]!r}, a canvas was asked about")
    message.request_id = asked.request_id
    verdict = verdict_from_proto(message, asked)
    if verdict.model or verdict.version:
        return verdict
    return replace(verdict, model=model_before[0], version=model_before[1])


def _canvas(escalation: Escalation) -> CanvasUpdate:
    if escalation.canvas is None:
        raise InvalidInput(f"{escalation.request_id} is no update of a canvas")
    return escalation.canvas


def _opening_to_proto(opening: Opening) -> pb.CanvasOpening:
    return pb.CanvasOpening(
        camera=opening.camera,
        frame_size=pb.FrameSize(width=opening.frame_width, height=opening.frame_height),
        canvas_size=pb.FrameSize(width=opening.width, height=opening.height),
        codec=_CODEC_TO_PROTO[opening.codec],
        min_score=opening.min_score,
        model=opening.model,
        useful_for_ms=(
            0 if opening.useful_for_s is None else max(1, round(opening.useful_for_s * 1000))
        ),
        captured_at_ms=round(opening.captured_at * 1000),
    )


def _opening_from_proto(message: pb.CanvasOpening) -> Opening:
    codec = _CODEC_FROM_PROTO.get(message.codec)
    if codec is None:
        raise InvalidInput(f"codec {message.codec} is unknown; H.264 or AV1 expected")
    return Opening(
        message.camera,
        message.frame_size.width,
        message.frame_size.height,
        message.canvas_size.width,
        message.canvas_size.height,
        codec,
        message.min_score,
        message.model,
        message.useful_for_ms / 1000 if message.useful_for_ms else None,
        message.captured_at_ms / 1000,
    )


def _rectangles(packed: bytes) -> tuple[Blocks, ...]:
    count, rest = divmod(len(packed), _RECTANGLE_BYTES)
    if rest or count > MAX_RECTANGLES:
        raise InvalidInput(
            f"rectangles have {len(packed)} bytes; 4 each for at most {MAX_RECTANGLES} expected"
        )
    starts = range(0, len(packed), _RECTANGLE_BYTES)
    return tuple((packed[k], packed[k + 1], packed[k + 2], packed[k + 3]) for k in starts)
