"""``secondlook memory stats``."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from secondlook.cli.console import output_console
from secondlook.cli.memory.progress import progress_bar
from secondlook.cli.memory.replica import replica_of, waiting_in
from secondlook.cli.memory.shown import to_json, when
from secondlook.cli.memory.tally import Group, Tally
from secondlook.cli.memory.target import Target, on_a_store
from secondlook.shared.memory import ContextStore
from secondlook.shared.memory.rules import MAX_LIMIT

MOST_LINES = 20
"""Most lines of one table; ``--json`` has all."""


@click.command()
@click.argument("prefix", default="")
@on_a_store
def stats(prefix: str, target: Target, as_json: bool) -> None:
    """Count what is remembered under PREFIX: by site, camera and kind, with sizes and ages.

    Bytes are those of the data as compact JSON; ids, versions and indexes come on top. Of an
    edge's memory also: what waits to be sent, and what only a person can decide.

    \b
    Examples:
      secondlook memory stats
      secondlook memory stats yard/ --json | jq .kinds
    """
    with progress_bar() as progress:
        tally = target.use(lambda store: _count(store, prefix, progress))
    if as_json:
        click.echo(to_json(tally.as_document()))
    else:
        _print(tally, output_console())


async def _count(store: ContextStore, prefix: str, progress: Progress) -> Tally:
    tally = Tally()
    task = progress.add_task("counting", total=None)
    counted: set[int] = set()
    more = True
    while more:
        page = await store.changes(prefix, tally.cursor, MAX_LIMIT)
        for record in page.records:
            # What is written while it is counted comes again.
            if (key := hash(record.id)) not in counted:
                counted.add(key)
                tally.add(record)
        tally.cursor, more = page.cursor, page.more
        progress.advance(task, len(page.records))
    replica = await replica_of(store)
    tally.replica = None if replica is None else await waiting_in(replica)
    return tally


def _print(tally: Tally, console: Console) -> None:
    total = tally.total
    console.print(
        f"{total.live} records, {total.tombstones} tombstones, {total.data_bytes} bytes of data, "
        f"cursor {tally.cursor}"
    )
    if tally.replica is not None:
        console.print(
            "replica {id}: {waiting} waiting to be sent, of these {undecided} undecided and "
            "{refused} refused (see decide)".format(**tally.replica)
        )
    if not total.live + total.tombstones:
        return
    console.print(f"oldest write {when(total.oldest)}, newest {when(total.newest)}")
    for title, groups in (
        ("site", tally.sites),
        ("camera", tally.cameras),
        ("kind", tally.kinds),
    ):
        console.print()
        console.print(_table(title, groups))
    console.print()
    largest = Table(box=None, pad_edge=False)
    largest.add_column("largest records", overflow="fold")
    largest.add_column("bytes", justify="right")
    for size, name in tally.largest:
        largest.add_row(escape(name), str(size))
    console.print(largest)


def _table(title: str, groups: dict[str, Group]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(title, overflow="fold")
    for column in ("records", "tombstones", "bytes"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("oldest", no_wrap=True)
    table.add_column("newest", no_wrap=True)
    most_first = sorted(groups.items(), key=lambda item: (-item[1].live, item[0]))
    for name, group in most_first[:MOST_LINES]:
        numbers = (str(group.live), str(group.tombstones), str(group.data_bytes))
        table.add_row(escape(name), *numbers, when(group.oldest), when(group.newest))
    if len(groups) > MOST_LINES:
        table.add_row(f"and {len(groups) - MOST_LINES} more, see --json", style="dim")
    return table
