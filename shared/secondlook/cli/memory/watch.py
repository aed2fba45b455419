"""``secondlook memory watch``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, runtime_checkable

import anyio
import click

from secondlook.cli.memory.shown import as_document, one_line, to_json, when
from secondlook.cli.memory.target import Target, on_a_store
from secondlook.shared.memory import ContextStore, Record

PAGE = 200
POLL_S = 0.5
"""How often a store that cannot tell is asked for what is new."""


@click.command()
@click.argument("prefix", default="")
@click.option(
    "--since",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Only what changed after this cursor; 0: first everything, then each change.",
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many records.")
@on_a_store
def watch(prefix: str, since: int, count: int | None, target: Target, as_json: bool) -> None:
    """Follow what changes under PREFIX, until Ctrl-C; then say where to go on.

    With --json each line is a record; its "change" is the cursor to resume from.

    \b
    Examples:
      secondlook memory watch yard/
      secondlook memory watch --since 4711 --json | jq -c '[.id, .version]'
      secondlook memory watch yard/gate/ --count 1
    """
    cursor = since
    seen = 0

    async def follow(store: ContextStore) -> None:
        nonlocal cursor, seen
        # A watch waits for a service that is away; one that was never there is told at once.
        await store.changes(prefix, since, 1)
        async with aclosing(_followed(store, prefix, since)) as records:
            async for record in records:
                click.echo(to_json(as_document(record)) if as_json else _line(record))
                cursor = record.change
                seen += 1
                if seen == count:
                    return

    try:
        target.use(follow)
    finally:
        click.echo(f"resume with --since {cursor}", err=True)


def _line(record: Record) -> str:
    return (
        f"{when(record.updated_at)}  {record.id}  version {record.version}  "
        f"{one_line(record)}  {record.writer}"
    )


@runtime_checkable
class _Watchable(Protocol):
    """A store that tells by itself what changed."""

    def watch(self, prefix: str = "", since: int = 0) -> AsyncGenerator[Record, None]: ...


def _followed(store: ContextStore, prefix: str, since: int) -> AsyncGenerator[Record, None]:
    """What changed after ``since``, then each change; for ever."""
    if isinstance(store, _Watchable):
        return store.watch(prefix, since)
    return _polled(store, prefix, since)


async def _polled(store: ContextStore, prefix: str, since: int) -> AsyncGenerator[Record, None]:
    while True:
        page = await store.changes(prefix, since, PAGE)
        for record in page.records:
            yield record
        since = page.cursor
        if not page.more:
            await anyio.sleep(POLL_S)
