"""What gRPC's errors become in a `RemoteStore`."""

from __future__ import annotations

import re

import grpc
import grpc.aio

from secondlook.shared.errors import CursorTooOld, SecondlookError, StoreError, Unavailable
from secondlook.shared.wire.memory import FLOOR_TRAILER
from secondlook.shared.wire.status import STORE_FAILED, error_from_status

_NUMBER = re.compile(r"[0-9]{1,19}")
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


def error_of(error: grpc.aio.AioRpcError, since: int, *, writes: bool = False) -> SecondlookError:
    """The error of a call.

    Args:
        error: what gRPC raised.
        since: the cursor that was given.
        writes: whether something was to be written.
    """
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.OUT_OF_RANGE and not writes:
        return CursorTooOld(since, _floor(error, since))
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


def _floor(error: grpc.aio.AioRpcError, since: int) -> int:
    """What the service named; without it the cursor is too old all the same."""
    for key, value in error.trailing_metadata() or ():
        if key == FLOOR_TRAILER and isinstance(value, str) and _NUMBER.fullmatch(value):
            return int(value)
    return since + 1
