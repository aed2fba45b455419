"""A record of the context memory, its id and its limits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from secondlook.shared.errors import InvalidInput, SecondlookError
from secondlook.shared.memory.encoded import Encoded

MAX_ID_BYTES = 512
MAX_DATA_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_VERSION = 2**63 - 1
_ORDERED = re.compile(r"[0-9]{20}")

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
            Tokens of exactly 20 digits are in order, and then a creation (expected version 0) that
            comes again behind later ones, as a network may deliver it, is a conflict also where
            nothing stands: it would bring back what was deleted. So is one that was refused before.
    """

    replica: str
    token: str

    @property
    def ordered(self) -> bool:
        """Whether the token has a place among those of its replica."""
        return _ORDERED.fullmatch(self.token) is not None


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
    if isinstance(data, Encoded):
        return data.raw
    if not isinstance(data, Mapping):
        raise InvalidInput(f"data is a {type(data).__name__}; a JSON object expected")
    _check(data)
    return _written(data)


def settled(raw: bytes) -> Encoded:
    """The document of ``raw``, as `decode` and `encode` see it, in one go.

    ``raw`` may be any JSON; its encoded form is compact and sorted, each key once.

    Raises:
        InvalidInput: see `decode` and `encode`.
    """
    data = decode(raw)
    # What `decode` let through is JSON, finite and not too deep; text and size are left to check.
    return Encoded(data, _written(data))


def _written(data: Document) -> bytes:
    try:
        raw = _ENCODER.encode(data).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("data holds text that is not valid UTF-8") from error
    except ValueError as error:
        raise InvalidInput(f"data is not JSON: {error}") from error
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
    finite = True
    try:
        # From bytes it would also read UTF-16, and lone surrogates.
        text = raw.decode()
        try:
            data = _DECODER.decode(text)
        except _NotFinite:  # read once more, to say where
            finite = False
            data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"data is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"data is a JSON {type(data).__name__}; an object expected")
    # JSON has no other types and no value without a byte: depth is all that is left.
    if not finite or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check(data)
    return data


class _NotFinite(Exception):
    """A number that JSON does not have, or that no float can hold."""


def _finite(text: str) -> float:
    value = float(text)
    if math.isfinite(value):
        return value
    raise _NotFinite


_ENCODER = json.JSONEncoder(
    default=dict,  # of mappings that are no dict
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
    sort_keys=True,
)
_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
_PLAIN = frozenset((str, int, bool, type(None)))
"""Types of values that need no second look."""


class _Wrong(Exception):
    """A value that JSON does not have, or that leads too deep; the path grows on the way up."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.path: list[str] = []


def _check(data: Document) -> None:
    try:
        _check_value(data, 0, MAX_DATA_BYTES)
    except _Wrong as wrong:
        where = "".join(["data", *reversed(wrong.path)])
        shown = where if len(where) <= 200 else f"{where[:200]}..."
        raise InvalidInput(f"{shown} {wrong}") from None


def _check_value(value: Any, depth: int, left: int) -> int:
    """Check a value and all in it.

    Args:
        value: anything.
        depth: levels above it.
        left: how many values may still come. Each takes a byte at least; without this bound, a few
            lists that hold each other many times would be walked through for ever.

    Returns:
        How many may come after it.
    """
    if left <= 0:
        raise _Wrong(f"holds more values than fit into {MAX_DATA_BYTES} bytes")
    if depth > MAX_DEPTH:
        raise _Wrong(f"is nested deeper than {MAX_DEPTH} levels")
    left -= 1
    if type(value) in _PLAIN or isinstance(value, (str, int)):
        return left
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Wrong(f"is {value}; JSON has finite numbers only")
        return left
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        raise _Wrong(f"is a {type(value).__name__}, which JSON does not have")
    named = isinstance(value, Mapping)
    for key, item in items:
        if named and not isinstance(key, str):
            raise _Wrong(f"has a key that is a {type(key).__name__}, not text")
        try:
            left = _check_value(item, depth + 1, left)
        except _Wrong as wrong:
            wrong.path.append(f".{key}" if named else f"[{key}]")
            raise
    return left
