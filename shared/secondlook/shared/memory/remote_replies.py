"""What a service said, doubted: checked like any input, but it is not the caller's mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import InvalidInput, StoreError
from secondlook.shared.memory.record import Changes, Outcome, Record, Write
from secondlook.shared.memory.rules import read_cursor
from secondlook.shared.wire.memory import (
    changes_from_proto,
    outcome_from_proto,
    record_from_proto,
)

M = TypeVar("M", bound=Message)


@contextmanager
def _doubted() -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise StoreError(f"the service answered nonsense: {error}") from error


def parsed(kind: type[M], raw: bytes) -> M:
    """The message of an answer.

    Raises:
        StoreError: it is none.
    """
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise StoreError("the service answered with bytes that are no message") from error


@_doubted()
def record_of(message: pb.Record, record_id: str) -> Record:
    """The record that was asked for.

    Raises:
        StoreError: it is damaged, or another one.
    """
    record = record_from_proto(message)
    if record.id != record_id:
        raise InvalidInput(f"asked for {record_id}, got {record.id}")
    return record


@_doubted()
def outcome_of(message: pb.Outcome, write: Write) -> Outcome:
    """What became of a write.

    Raises:
        StoreError: it is damaged, or about another record.
    """
    outcome = outcome_from_proto(message)
    about = outcome.record.id if outcome.record else getattr(outcome.error, "record_id", write.id)
    if about != write.id:
        raise InvalidInput(f"asked to write {write.id}, got {about}")
    return outcome


@_doubted()
def page_of(message: pb.ChangesResponse, prefix: str, since: int, limit: int) -> Changes:
    """A page of changes.

    Raises:
        StoreError: a record is damaged or was not asked for, or the cursor does not go on.
    """
    page = changes_from_proto(message)
    for record in page.records:
        _check_asked(record, prefix, since)
    (after, _), (until, _) = read_cursor(since), read_cursor(page.cursor)
    if len(page.records) > limit or until < after or (page.more and until == after):
        raise InvalidInput("a page of changes does not go on from where it was asked")
    return page


@_doubted()
def told_of(message: pb.WatchResponse, prefix: str, since: int) -> Record | None:
    """The record of a message of a watch, if it has one.

    Raises:
        StoreError: it is damaged or was not asked for, or the cursor goes back.
    """
    (after, _), (until, _) = read_cursor(since), read_cursor(message.cursor)
    record = None
    if message.HasField("record"):
        record = record_from_proto(message.record)
        _check_asked(record, prefix, since)
        after = record.change
    if until < after:
        raise InvalidInput("the cursor of a watch went back")
    return record


def _check_asked(record: Record, prefix: str, since: int) -> None:
    after, _ = read_cursor(since)
    if not record.id.startswith(prefix) or record.change <= after:
        raise InvalidInput(f"{record.id} at change {record.change} was not asked for")
