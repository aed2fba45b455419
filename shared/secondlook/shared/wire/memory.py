"""Records of the context memory, writes, outcomes and pages on the wire."""

from __future__ import annotations

import grpc

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import InvalidInput, SecondlookError, VersionConflict
from secondlook.shared.memory.record import (
    Changes,
    Origin,
    Outcome,
    Record,
    Write,
    check_id,
    decode,
    encode,
    settled,
)
from secondlook.shared.memory.rules import check_write
from secondlook.shared.wire.status import error_from_status, status_of

CONFLICT_TRAILER = "secondlook-conflict-bin"
"""Trailer of an ABORTED call; holds a serialized ``VersionConflict``."""
FLOOR_TRAILER = "secondlook-floor"
"""Trailer of an OUT_OF_RANGE call; holds the oldest cursor that still works, in decimal."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def record_to_proto(record: Record) -> pb.Record:
    """The message of a record."""
    return pb.Record(
        id=record.id,
        data=b"" if record.deleted else encode(record.data),
        version=record.version,
        change=record.change,
        updated_at_ms=round(record.updated_at * 1000),
        writer=record.writer,
        expires_at_ms=0 if record.expires_at is None else round(record.expires_at * 1000),
        deleted=record.deleted,
    )


def record_from_proto(message: pb.Record) -> Record:
    """The record of a message.

    Raises:
        InvalidInput: no id that a record can have, no version, or its data is not a JSON object
            within the limits.
    """
    check_id(message.id)
    if message.version < 1 or message.change < 1:
        raise InvalidInput(
            f"record has version {message.version} and change {message.change}; both start at 1"
        )
    return Record(
        id=message.id,
        data={} if message.deleted else decode(message.data),
        version=message.version,
        change=message.change,
        updated_at=message.updated_at_ms / 1000,
        writer=message.writer,
        expires_at=message.expires_at_ms / 1000 if message.expires_at_ms else None,
        deleted=message.deleted,
    )


def conflict_to_proto(error: VersionConflict) -> pb.VersionConflict:
    """The message of a conflict, with the record that stands."""
    message = pb.VersionConflict(id=error.record_id, expected=error.expected, actual=error.actual)
    if isinstance(error.current, Record):
        message.current.CopyFrom(record_to_proto(error.current))
    return message


def conflict_from_proto(message: pb.VersionConflict) -> VersionConflict:
    """The conflict of a message.

    Raises:
        InvalidInput: the record that it brings is damaged, or not what it says stands.
    """
    current = record_from_proto(message.current) if message.HasField("current") else None
    found = (message.id, 0) if current is None else (current.id, current.version)
    if found != (message.id, message.actual):
        raise InvalidInput("a conflict does not bring what it says stands")
    return VersionConflict(message.id, message.expected, message.actual, current)


def save_to_proto(write: Write) -> pb.SaveRequest:
    """The message of a save.

    Raises:
        InvalidInput: it can never work.
    """
    if write.data is None:
        raise InvalidInput("data is missing; a JSON object expected")
    _check(write)
    return pb.SaveRequest(
        id=write.id,
        data=encode(write.data),
        expected_version=write.expected_version,
        # What is too short for the wire must not become 0, which means for ever.
        ttl_ms=0 if write.ttl_s is None else max(1, round(write.ttl_s * 1000)),
        writer=write.writer,
        origin=_origin_to_proto(write.origin),
    )


def save_from_proto(message: pb.SaveRequest) -> Write:
    """The write of a message; the rest of it is left to the store to check.

    Raises:
        InvalidInput: its data is not a JSON object within the limits, or it lives negatively.
    """
    if message.ttl_ms < 0:
        raise InvalidInput(f"ttl_ms is {message.ttl_ms}; 0 or more expected")
    return Write(
        message.id,
        settled(message.data),
        message.expected_version,
        message.writer,
        message.ttl_ms / 1000 if message.ttl_ms else None,
        _origin_from_proto(message),
    )


def delete_to_proto(write: Write) -> pb.DeleteRequest:
    """The message of a deletion.

    Raises:
        InvalidInput: it can never work.
    """
    _check(write)
    return pb.DeleteRequest(
        id=write.id,
        expected_version=write.expected_version,
        writer=write.writer,
        origin=_origin_to_proto(write.origin),
    )


def delete_from_proto(message: pb.DeleteRequest) -> Write:
    """The write of a message; all of it is left to the store to check."""
    origin = _origin_from_proto(message)
    return Write(message.id, None, message.expected_version, message.writer, None, origin)


def write_to_proto(write: Write) -> pb.Write:
    """The message of one entry of a batch.

    Raises:
        InvalidInput: it can never work.
    """
    if write.data is None:
        return pb.Write(delete=delete_to_proto(write))
    return pb.Write(save=save_to_proto(write))


def write_from_proto(message: pb.Write) -> Write:
    """One entry of a batch.

    Raises:
        InvalidInput: neither a save nor a deletion, or see `save_from_proto`.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidInput("a write is neither a save nor a deletion")
    return save_from_proto(message.save) if kind == "save" else delete_from_proto(message.delete)


def outcome_to_proto(outcome: Outcome) -> pb.Outcome:
    """The message of an outcome; of an unexpected error, only its public text."""
    if outcome.record is not None:
        return pb.Outcome(record=record_to_proto(outcome.record), repeat=outcome.repeat)
    if isinstance(outcome.error, VersionConflict):
        return pb.Outcome(conflict=conflict_to_proto(outcome.error))
    status = status_of(outcome.error or SecondlookError("an outcome without record and error"))
    return pb.Outcome(code=status.code.value[0], message=status.text)


def outcome_from_proto(message: pb.Outcome) -> Outcome:
    """The outcome of a message.

    Raises:
        InvalidInput: it holds neither a record nor an error, or a damaged one.
    """
    if message.HasField("record"):
        return Outcome(record_from_proto(message.record), message.repeat)
    if message.HasField("conflict"):
        return Outcome(error=conflict_from_proto(message.conflict))
    code = _CODES.get(message.code, grpc.StatusCode.UNKNOWN)
    if code is grpc.StatusCode.OK:
        raise InvalidInput("an outcome has neither a record nor an error")
    return Outcome(error=error_from_status(code, message.message))


def changes_to_proto(page: Changes) -> pb.ChangesResponse:
    """The message of a page."""
    return pb.ChangesResponse(
        records=[record_to_proto(record) for record in page.records],
        cursor=page.cursor,
        more=page.more,
    )


def changes_from_proto(message: pb.ChangesResponse) -> Changes:
    """The page of a message.

    Raises:
        InvalidInput: a record is damaged, or the order of changes is broken.
    """
    records = tuple(record_from_proto(record) for record in message.records)
    changes = [record.change for record in records]
    if changes != sorted(set(changes)) or (changes and changes[-1] > message.cursor):
        raise InvalidInput("a page of changes is not in their order")
    return Changes(records, message.cursor, message.more)


def _check(write: Write) -> None:
    # The service signs a write without writer with the name in the sender's certificate.
    writer = write.writer or "-"
    check_write(write.id, write.expected_version, writer, write.ttl_s, write.origin)


def _origin_to_proto(origin: Origin | None) -> pb.Origin | None:
    return None if origin is None else pb.Origin(replica=origin.replica, token=origin.token)


def _origin_from_proto(message: pb.SaveRequest | pb.DeleteRequest) -> Origin | None:
    if not message.HasField("origin"):
        return None
    return Origin(message.origin.replica, message.origin.token)
