"""The catalog: which error is which gRPC status, and what the other side may read.

==================  ====================  =========================================
error               status                public text
==================  ====================  =========================================
InvalidInput        INVALID_ARGUMENT      the message, which names the field
NotFound            NOT_FOUND             the message
VersionConflict     ABORTED               the message; the record in a trailer
CursorTooOld        OUT_OF_RANGE          the message; the floor in a trailer
PermissionDenied    PERMISSION_DENIED     the message
Overloaded          RESOURCE_EXHAUSTED    the message
DeadlineExceeded    DEADLINE_EXCEEDED     the message
Unavailable         UNAVAILABLE           the message
StoreError          UNAVAILABLE           a fixed sentence: details may hold addresses
ModelFailure        INTERNAL              a fixed sentence
MissingDependency   UNIMPLEMENTED         the message
anything else       INTERNAL              an incident id; the details are in the log
==================  ====================  =========================================

Where an error has a remedy, it follows the message.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import grpc

from secondlook.shared.errors import (
    CursorTooOld,
    DeadlineExceeded,
    InvalidInput,
    MissingDependency,
    ModelFailure,
    NotFound,
    Overloaded,
    PermissionDenied,
    SecondlookError,
    StoreError,
    Unavailable,
    VersionConflict,
)

STORE_FAILED = "the context memory's store is not available"

_CATALOG: tuple[tuple[type[SecondlookError], grpc.StatusCode, str | None], ...] = (
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT, None),
    (NotFound, grpc.StatusCode.NOT_FOUND, None),
    (VersionConflict, grpc.StatusCode.ABORTED, None),
    (CursorTooOld, grpc.StatusCode.OUT_OF_RANGE, None),
    (PermissionDenied, grpc.StatusCode.PERMISSION_DENIED, None),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED, None),
    (DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED, None),
    (Unavailable, grpc.StatusCode.UNAVAILABLE, None),
    (StoreError, grpc.StatusCode.UNAVAILABLE, STORE_FAILED),
    (ModelFailure, grpc.StatusCode.INTERNAL, "the model gave no usable answer"),
    (MissingDependency, grpc.StatusCode.UNIMPLEMENTED, None),
)

_FROM_STATUS: dict[grpc.StatusCode, type[SecondlookError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}


@dataclass(frozen=True, slots=True)
class Status:
    """What goes on the wire for an error.

    Attributes:
        code: the gRPC status.
        text: what the other side reads.
        incident: id to look for in the log; empty for an expected error.
    """

    code: grpc.StatusCode
    text: str
    incident: str = ""


def status_of(error: BaseException) -> Status:
    """The status of an error. Anything unexpected gets a fresh incident id and leaks nothing."""
    for kind, code, text in _CATALOG:
        if isinstance(error, kind):
            return Status(code, str(error) if text is None else text)
    incident = secrets.token_hex(6)
    return Status(grpc.StatusCode.INTERNAL, f"internal error, incident {incident}", incident)


def error_from_status(code: grpc.StatusCode, details: str) -> SecondlookError:
    """The error that a status from the other side becomes here.

    ABORTED and OUT_OF_RANGE are not here: what they tell travels in trailers, see
    `secondlook.shared.wire.memory`.
    """
    kind = _FROM_STATUS.get(code)
    if kind is not None:
        return kind(details or code.name)
    if code is grpc.StatusCode.INTERNAL and details.startswith("the model"):
        return ModelFailure(details)
    return SecondlookError(f"{code.name}: {details}")
