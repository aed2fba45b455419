"""What writes and pages weigh on the wire, after compression. Computed, so it may block briefly."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from google.protobuf.message import Message

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.record import Changes, Outcome, Write
from secondlook.shared.wire.memory import outcome_to_proto, record_to_proto, write_to_proto

CALL_BYTES = 128
"""Headers of a call or an answer, most of them remembered by the connection."""


def weigh_batch(writes: Sequence[Write]) -> int:
    """Bytes of a request with these writes."""
    messages = []
    for write in writes:
        try:
            messages.append(write_to_proto(write))
        except InvalidInput:  # noqa: PERF203 - such a write is refused before it is sent
            continue
    return _compressed(pb.ApplyRequest(writes=messages))


def weigh_outcomes(outcomes: Sequence[Outcome]) -> int:
    """Bytes of the answer to a batch."""
    return _compressed(pb.ApplyResponse(outcomes=[outcome_to_proto(each) for each in outcomes]))


def weigh_page(page: Changes) -> int:
    """Bytes of a page of changes, request included."""
    records = [record_to_proto(record) for record in page.records]
    return CALL_BYTES + _compressed(pb.ChangesResponse(records=records, cursor=page.cursor))


def _compressed(message: Message) -> int:
    return CALL_BYTES + len(zlib.compress(message.SerializeToString()))
