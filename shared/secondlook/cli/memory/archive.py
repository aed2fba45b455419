"""The file of an export: JSON lines, the first of which tells what follows.

::

    {"format": "secondlook-memory", "version": 1, "id": "5f0c...", "prefix": "yard/", "since": 0,
     "cursor": 4711, "records": 2, "exported_at": 1764000000.0}
    {"id": "yard/gate/note/1", "version": 3, "updated_at": 1763990000.0, "writer": "edge-7",
     "data": {"text": "new lamp"}}
    {"id": "yard/gate/note/2", "version": 2, "updated_at": 1763990001.0, "writer": "edge-7",
     "deleted": true}

``expires_at`` is there where a record expires. An id appears once. The header's ``id`` and the
number of a line name a write for ever, so that importing the file twice has no second effect;
``records`` shows whether the end of the file is missing. A file that begins as gzip does is gzip.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory import Record
from secondlook.shared.memory.record import MAX_DATA_BYTES, MAX_ID_BYTES, check_id, encode

FORMAT = "secondlook-memory"
VERSION = 1
MAX_LINE_BYTES = 8 * (MAX_DATA_BYTES + MAX_ID_BYTES)
"""Longest line that is read: with every character escaped, a record is longer than as stored."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Header:
    """The first line.

    Attributes:
        id: names the file.
        prefix: beginning of the ids that were exported.
        since: cursor behind which the export began.
        cursor: ``since`` of an export that goes on from here.
        records: how many lines follow.
        exported_at: wall clock, seconds since the Unix epoch.
    """

    id: str
    prefix: str
    since: int
    cursor: int
    records: int
    exported_at: float

    def line(self) -> bytes:
        """As it stands in the file."""
        return _line(
            {
                "format": FORMAT,
                "version": VERSION,
                "id": self.id,
                "prefix": self.prefix,
                "since": self.since,
                "cursor": self.cursor,
                "records": self.records,
                "exported_at": self.exported_at,
            }
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the file.

    Attributes:
        number: of the line; the header is 1.
        id: of the record.
        data: the document; ``None`` where the record was deleted.
        expires_at: wall clock of its end, seconds; ``None``: never.
        size: bytes of the line.
    """

    number: int
    id: str
    data: dict[str, Any] | None
    expires_at: float | None
    size: int


def record_line(record: Record) -> bytes:
    """A record as it stands in the file."""
    document: dict[str, Any] = {
        "id": record.id,
        "version": record.version,
        "updated_at": record.updated_at,
        "writer": record.writer,
    }
    if record.deleted:
        return _line({**document, "deleted": True})
    if record.expires_at is not None:
        document["expires_at"] = record.expires_at
    return _line({**document, "data": dict(record.data)})


class Reader:
    """Reads an export, line by line, and never more of it than one line at once.

    Args:
        file: the bytes, gzip or not; stays the caller's.
        name: of the file, for messages.

    Attributes:
        header: the first line.
        number: of the line that was read last.

    Raises:
        InvalidInput: the file does not begin as an export does.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        self._file = _decompressed(file)
        self.number = 0
        raw = self._next()
        if not raw:
            raise InvalidInput(f"{name} is empty", remedy="an export of this command expected")
        self.header = _header(self._json(raw))

    def lines(self) -> Iterator[Line]:
        """The records.

        Raises:
            InvalidInput: names the line, what is wrong with it and the remedy; the lines before
                it have been given.
        """
        while raw := self._next():
            if self.number - 1 > self.header.records:
                raise self._wrong(f"the header promised {self.header.records} records", "")
            document = self._json(raw)
            try:
                yield _record(document, self.number, len(raw))
            except InvalidInput as error:
                raise self._wrong(error.message, error.remedy) from error
        if self.number - 1 < self.header.records:
            raise InvalidInput(
                f"{self._name} ends behind line {self.number}, "
                f"{self.header.records - (self.number - 1)} records short",
                remedy="it is truncated: copy or export it again",
            )

    def _next(self) -> bytes:
        try:
            raw = self._file.readline(MAX_LINE_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInput(
                f"{self._name} cannot be read behind line {self.number}: {error}",
                remedy="it is damaged or truncated: copy or export it again",
            ) from error
        self.number += bool(raw)
        if len(raw) > MAX_LINE_BYTES:
            raise self._wrong(f"longer than {MAX_LINE_BYTES} bytes", "no record is that large")
        return raw

    def _json(self, raw: bytes) -> dict[str, Any]:
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as error:
            cut = "" if raw.endswith(b"\n") else "the file may be truncated: "
            raise self._wrong(f"is not JSON: {error}", f"{cut}copy or export it again") from error
        if not isinstance(document, dict):
            raise self._wrong(f"is a JSON {type(document).__name__}", "an object expected")
        return document

    def _wrong(self, what: str, remedy: str) -> InvalidInput:
        return InvalidInput(f"{self._name}, line {self.number}: {what}", remedy=remedy)


def _decompressed(file: BinaryIO) -> BinaryIO:
    # Every caller gives a buffered file, which can look ahead.
    magic = cast("Any", file).peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)]
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if magic == _GZIP_MAGIC else file


def _header(document: dict[str, Any]) -> Header:
    if document.get("format") != FORMAT:
        raise InvalidInput(
            f"line 1: format is {document.get('format')!r}",
            remedy=f"an export begins with a line that holds {FORMAT!r}",
        )
    if document.get("version") != VERSION:
        raise InvalidInput(
            f"line 1: version is {document.get('version')!r}; this Secondlook reads {VERSION}",
            remedy="a newer Secondlook wrote it: upgrade this one",
        )
    identity, prefix = document.get("id"), document.get("prefix", "")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise InvalidInput("line 1: id must be 1 to 40 of A-Z a-z 0-9 . _ -")
    if not isinstance(prefix, str):
        raise InvalidInput("line 1: prefix must be text")
    since, cursor, records = (_count(document, name) for name in ("since", "cursor", "records"))
    return Header(identity, prefix, since, cursor, records, _time(document, "exported_at") or 0.0)


def _count(document: dict[str, Any], name: str) -> int:
    value = document.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise InvalidInput(f"line 1: {name} is {value!r}; a whole number from 0 on expected")
    return value


_FIELDS = {"id", "version", "updated_at", "writer", "expires_at", "deleted", "data"}


def _record(document: dict[str, Any], number: int, size: int) -> Line:
    unknown = sorted(document.keys() - _FIELDS)
    if unknown:
        raise InvalidInput(
            f"{unknown[0]}: no such field", remedy=f"of {', '.join(sorted(_FIELDS))}"
        )
    record_id, deleted = document.get("id"), document.get("deleted", False)
    if not isinstance(record_id, str):
        raise InvalidInput("id: text expected")
    check_id(record_id)
    if not isinstance(deleted, bool):
        raise InvalidInput("deleted: true or false expected")
    data = document.get("data")
    if deleted:
        if data:
            raise InvalidInput("data: a deleted record has none")
        return Line(number, record_id, None, None, size)
    if not isinstance(data, dict):
        raise InvalidInput("data: an object expected")
    encode(data)
    return Line(number, record_id, data, _time(document, "expires_at"), size)


def _time(document: dict[str, Any], name: str) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidInput(f"{name}: seconds since the Unix epoch expected")
    return float(value)


def _line(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"
