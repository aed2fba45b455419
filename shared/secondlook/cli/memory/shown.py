"""Records for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from secondlook.shared.memory import Record

DATA_COLUMNS = 80
"""Most characters of a record's data in one line of a table."""


def as_document(record: Record) -> dict[str, Any]:
    """The record as ``--json`` prints it; times are seconds since the Unix epoch."""
    return {
        "id": record.id,
        "version": record.version,
        "change": record.change,
        "updated_at": record.updated_at,
        "writer": record.writer,
        "expires_at": record.expires_at,
        "deleted": record.deleted,
        "data": dict(record.data),
    }


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON that is safe on a terminal: characters that are not printable are escaped."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def when(seconds: float | None) -> str:
    """A wall clock time for people, UTC; ``never`` for ``None``."""
    if seconds is None:
        return "never"
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a clock that was very wrong
        return f"{seconds:.0f} s"


def one_line(record: Record) -> str:
    """A record in one line of a table or a log."""
    if record.deleted:
        return "deleted"
    text = to_json(record.data)
    return text if len(text) <= DATA_COLUMNS else f"{text[: DATA_COLUMNS - 1]}…"


def print_record(record: Record, console: Console) -> None:
    """Everything about one record."""
    grid = Table.grid(padding=(0, 2))
    for name, value in (
        ("id", record.id),
        ("version", str(record.version)),
        ("updated", when(record.updated_at)),
        ("writer", record.writer),
        ("expires", when(record.expires_at)),
    ):
        grid.add_row(Text(name, style="dim"), Text(value))
    console.print(grid)
    console.print(Text(to_json(record.data, indent=2)), soft_wrap=True)


def print_records(records: Sequence[Record], console: Console) -> None:
    """A table, one line a record."""
    table = Table(box=None, pad_edge=False)
    table.add_column("change", justify="right", no_wrap=True)
    table.add_column("id", overflow="fold")
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("updated", no_wrap=True)
    table.add_column("writer", overflow="fold")
    table.add_column("data", overflow="fold")
    for record in records:
        table.add_row(
            str(record.change),
            escape(record.id),
            str(record.version),
            when(record.updated_at),
            escape(record.writer),
            escape(one_line(record)),
            style="dim" if record.deleted else "",
        )
    console.print(table)


def said(record: Record) -> str:
    """What a write has done, in one line."""
    what = "deleted" if record.deleted else "saved"
    expiry = "" if record.expires_at is None else f", expires {when(record.expires_at)}"
    return f"{record.id}: {what} as version {record.version}{expiry}"


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]
