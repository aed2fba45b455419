"""What people type: durations, documents."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.record import MAX_DATA_BYTES, encode

MAX_TEXT_BYTES = 8 * MAX_DATA_BYTES
"""Longest text of a document: indented and escaped it is longer than as it is stored."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


def duration(text: str) -> float:
    """``5m``, ``1.5h``, ``30s``, ``7d`` or ``200ms`` in seconds; a type of click."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration; 30s, 5m, 2h or 7d expected")
    return float(found[1]) * _UNITS_S[found[2]]


def document_from(argument: str) -> dict[str, Any]:
    """The document that is meant: JSON itself, ``@FILE``, or ``-`` for standard input.

    Raises:
        InvalidInput: the file cannot be read, or it holds no JSON object within the limits.
    """
    if argument == "-":
        return parse_document(sys.stdin.buffer.read(MAX_TEXT_BYTES + 1), "standard input")
    if not argument.startswith("@"):
        return parse_document(argument.encode(errors="surrogateescape"), "the argument")
    path = Path(argument[1:])
    try:
        with path.open("rb") as file:
            return parse_document(file.read(MAX_TEXT_BYTES + 1), str(path))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


def parse_document(raw: bytes, where: str) -> dict[str, Any]:
    """The document in a text that people write.

    Raises:
        InvalidInput: too long, no JSON, or no object within the limits of a record.
    """
    data = parse_json(raw, where)
    if not isinstance(data, dict):
        raise InvalidInput(
            f"{where} is a JSON {type(data).__name__}", remedy='an object expected, as {"n": 1}'
        )
    encode(data)
    return data


def parse_json(raw: bytes, where: str) -> Any:
    """A JSON value.

    Raises:
        InvalidInput: too long, or no JSON.
    """
    if len(raw) > MAX_TEXT_BYTES:
        raise InvalidInput(f"{where} has more than {MAX_TEXT_BYTES} bytes")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{where} is not JSON: {error}", remedy="quote it for the shell, or use @FILE or -"
        ) from error
