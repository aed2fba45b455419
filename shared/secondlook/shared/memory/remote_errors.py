"""What gRPC's errors become in a `RemoteStore`."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import (
    CursorTooOld,
    InvalidInput,
    SecondlookError,
    StoreError,
    Unavailable,
)
from secondlook.shared.memory.record import Write
from secondlook.shared.wire.memory import CONFLICT_TRAILER, FLOOR_TRAILER, conflict_from_proto
from secondlook.shared.wire.status import STORE_FAILED, error_from_status

_NEVER_SENT = "failed to connect"
"""gRPC's words where no connection was found: the call did not leave this machine."""
_UNTOUCHED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""With these, the service says that nothing was written."""
_FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""With these, asking the same again is vain."""


def passes(error: grpc.aio.AioRpcError) -> bool:
    """Whether a watch that ended so is worth opening again."""
    return error.code() not in _FINAL


def error_of(
    error: grpc.aio.AioRpcError, writes: Sequence[Write] = (), since: int = 0
) -> SecondlookError:
    """The error of a call.

    Args:
        error: what gRPC raised.
        writes: what was to be written; empty for a read.
        since: the cursor that was given.
    """
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.ABORTED and len(writes) == 1:
        return _conflict(error, writes[0])
    if code is grpc.StatusCode.OUT_OF_RANGE and not writes:
        floor = _trailer(error, FLOOR_TRAILER)
        # Without the floor the cursor is too old all the same; the next one may be, too.
        known = isinstance(floor, str) and floor.isdecimal() and len(floor) < 20
        return CursorTooOld(since, int(floor) if known and floor else since + 1)
    if code is grpc.StatusCode.UNAVAILABLE and details.startswith(_NEVER_SENT):
        return Unavailable(f"the context memory cannot be reached: {details}")
    if details == STORE_FAILED:
        return StoreError(details)
    if "larger than max" in details:
        # gRPC's own words, of either side; not the service's, whose queue may be full.
        return StoreError(details)
    if writes and code not in _UNTOUCHED:
        return StoreError(f"whether the write happened is unknown: {code.name}: {details}")
    if code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
        return Unavailable(f"{code.name}: {details}")
    return error_from_status(code, details)


def _conflict(error: grpc.aio.AioRpcError, write: Write) -> SecondlookError:
    raw = _trailer(error, CONFLICT_TRAILER)
    try:
        message = pb.VersionConflict.FromString(raw if isinstance(raw, bytes) else b"")
        conflict = conflict_from_proto(message)
    except (DecodeError, InvalidInput) as wrong:
        return StoreError(f"the service told of a conflict, but not what stands: {wrong}")
    if (conflict.record_id, conflict.expected) != (write.id, write.expected_version):
        return StoreError("the service told of a conflict of another write")
    return conflict


def _trailer(error: grpc.aio.AioRpcError, name: str) -> str | bytes | None:
    for key, value in error.trailing_metadata() or ():
        if key == name:
            return value
    return None
