"""What a stream has said so far, and what it takes on the wire."""

from __future__ import annotations

from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Escalation
from secondlook.shared.values.canvas import chained
from secondlook.shared.wire.canvas import Opening, update_to_proto

MESSAGE_BYTES = 44
"""What HTTP/2 and gRPC add to a message of a stream: 14 of framing, 26 to open the windows for the
replies that came meanwhile, and now and then a ping. Measured by tests/bench/bench_canvas.py."""

STREAM_BYTES = 512
"""What a new stream adds to its first message, with a connection of its own."""

_TLS_CONNECT_BYTES = 4096
_TLS_RECORD_BYTES = 29
_FRAME_PAYLOAD = 16_384
_FRAME_BYTES = 9


class SentUpdates:
    """The updates of one stream, as far as it has got."""

    def __init__(self) -> None:
        self._index = 0
        self._check: int | None = None
        self._opening: Opening | None = None

    def continues(self, escalation: Escalation) -> bool:
        """Whether an update can be sent next: it is a key frame, or builds on the last one sent."""
        canvas = escalation.canvas
        if canvas is None:
            raise InvalidInput(f"{escalation.request_id} is no update of a canvas")
        if canvas.key:
            return True
        return self._check is not None and chained(escalation.image, self._check) == canvas.check

    def message(self, escalation: Escalation) -> pb.SessionRequest:
        """The message of the next update; it counts as sent."""
        assert escalation.canvas is not None
        update = update_to_proto(escalation, self._opening)
        self._index += 1
        self._check = escalation.canvas.check
        self._opening = Opening.of(escalation, self._opening)
        return pb.SessionRequest(index=self._index, canvas=update)

    def skip(self) -> None:
        """The last message is not sent after all: only a key frame can follow, with an opening."""
        self._index -= 1
        self._check = None
        self._opening = None


def session_bytes(message_bytes: int, *, tls: bool = False, first: bool = False) -> int:
    """Estimate of what a message of a stream takes on the wire, upwards, as payload of TCP.

    Args:
        message_bytes: size of the serialized message.
        tls: whether the connection is encrypted.
        first: whether it opens the stream.
    """
    frames = message_bytes // _FRAME_PAYLOAD
    size = message_bytes + MESSAGE_BYTES + frames * _FRAME_BYTES
    if tls:
        size += (frames + 1) * _TLS_RECORD_BYTES
    if first:
        size += STREAM_BYTES + (_TLS_CONNECT_BYTES if tls else 0)
    return size
