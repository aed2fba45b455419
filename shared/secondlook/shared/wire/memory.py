"""Records of the context memory on the wire."""

from __future__ import annotations

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import VersionConflict
from secondlook.shared.memory.record import Record, decode, encode

CONFLICT_TRAILER = "secondlook-conflict-bin"
"""Trailer of an ABORTED call; holds a serialized ``VersionConflict``."""


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
        InvalidInput: its data is not a JSON object within the limits.
    """
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
    """The conflict of a message."""
    current = record_from_proto(message.current) if message.HasField("current") else None
    return VersionConflict(message.id, message.expected, message.actual, current)
