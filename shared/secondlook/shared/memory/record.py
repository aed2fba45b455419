"""A record of the context memory, its id and its limits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secondlook.shared.errors import InvalidInput, SecondlookError

MAX_ID_BYTES = 512
MAX_DATA_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_VERSION = 2**63 - 1

Document = Mapping[str, Any]
"""A small JSON object."""


@dataclass(frozen=True, slots=True)
class Record:
    """One version of a record.

    Attributes:
        id: ``site/camera/kind/key``.
        data: a JSON object; empty for a tombstone.
        version: starts at 1, grows by exactly 1 a write, deletions included.
        change: place in the store's order of changes; grows, may skip.
        updated_at: wall clock of the write, seconds since the Unix epoch.
        writer: who wrote it.
        expires_at: wall clock of its end, seconds since the Unix epoch; ``None``: never.
        deleted: a tombstone.
    """

    id: str
    data: Document
    version: int
    change: int
    updated_at: float
    writer: str
    expires_at: float | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Which write of which replica this is, so that its repetition has no second effect.

    Attributes:
        replica: who sends it: 1 to 64 of ``A-Z a-z 0-9 . _ -``. A replica has at most one write of
            a record under way.
        token: names the write among those of the replica to that record; the same alphabet.
    """

    replica: str
    token: str


@dataclass(frozen=True, slots=True)
class Write:
    """One entry of `ContextStore.apply`: a save, or a deletion.

    Attributes:
        id: ``site/camera/kind/key``.
        data: the document to save; ``None`` deletes.
        expected_version: the version seen; 0: must not exist.
        writer: who writes.
        ttl_s: time to live, seconds; ``None``: for ever.
        origin: makes its repetition harmless.
    """

    id: str
    data: Document | None
    expected_version: int
    writer: str
    ttl_s: float | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one `Write`: either a record or an error.

    Attributes:
        record: what was written; of a repetition, what stands now (possibly newer, or a tombstone).
        repeat: whether the write had happened before; nothing was written now.
        error: why nothing was written: `VersionConflict`, `NotFound`, `InvalidInput`,
            `PermissionDenied` or `Overloaded`.
    """

    record: Record | None = None
    repeat: bool = False
    error: SecondlookError | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of `ContextStore.changes`.

    Attributes:
        records: newest version of each, in the order of ``change``.
        cursor: pass as ``since`` of the next call.
        more: the next page can be had at once.
    """

    records: tuple[Record, ...]
    cursor: int
    more: bool


def check_id(record_id: str) -> None:
    """Refuse an id that no record can have.

    Raises:
        InvalidInput: empty, over ``MAX_ID_BYTES`` of UTF-8, an empty or dot segment, or a
            character that is not printable.
    """
    try:
        size = len(record_id.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput("record id is not valid UTF-8") from error
    if not 1 <= size <= MAX_ID_BYTES:
        raise InvalidInput(f"record id has {size} bytes; 1 to {MAX_ID_BYTES} are accepted")
    if not record_id.isprintable():
        raise InvalidInput(f"record id {record_id!r} holds a character that is not printable")
    if any(part in ("", ".", "..") for part in record_id.split("/")):
        raise InvalidInput(f"record id {record_id!r} holds an empty, '.' or '..' segment")


def encode(data: Document) -> bytes:
    """The document as compact UTF-8 JSON with sorted keys.

    Raises:
        InvalidInput: not an object, a key that is not text, a value JSON does not have, a number
            that is not finite, deeper than ``MAX_DEPTH`` or larger than ``MAX_DATA_BYTES``.
    """
    _check_value(data, "data", 0)
    if not isinstance(data, Mapping):
        raise InvalidInput(f"data is a {type(data).__name__}; a JSON object expected")
    try:
        raw = json.dumps(
            data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
        ).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("data holds text that is not valid UTF-8") from error
    if len(raw) > MAX_DATA_BYTES:
        raise InvalidInput(f"data has {len(raw)} bytes; at most {MAX_DATA_BYTES} are accepted")
    return raw


def decode(raw: bytes) -> dict[str, Any]:
    """The document of ``raw``.

    Raises:
        InvalidInput: not UTF-8 JSON, not an object, or outside the limits of `encode`.
    """
    if len(raw) > MAX_DATA_BYTES:
        raise InvalidInput(f"data has {len(raw)} bytes; at most {MAX_DATA_BYTES} are accepted")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"data is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"data is a JSON {type(data).__name__}; an object expected")
    _check_value(data, "data", 0)
    return data


def _check_value(value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"{where} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{where} has a key that is a {type(key).__name__}, not text")
            _check_value(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_value(item, f"{where}[{index}]", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{where} is {value}; JSON has finite numbers only")
    elif value is not None and not isinstance(value, (str, bool, int)):
        raise InvalidInput(f"{where} is a {type(value).__name__}, which JSON does not have")
