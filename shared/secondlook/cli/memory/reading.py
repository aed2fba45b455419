"""``secondlook memory get`` and ``changes``."""

from __future__ import annotations

import click

from secondlook.cli.console import output_console
from secondlook.cli.memory.shown import as_document, print_record, print_records, to_json
from secondlook.cli.memory.target import Target, on_a_store
from secondlook.shared.memory import Changes, ContextStore, Record
from secondlook.shared.memory.rules import MAX_LIMIT


@click.command()
@click.argument("record_id", metavar="ID")
@on_a_store
def get(record_id: str, target: Target, as_json: bool) -> None:
    """Show the record that stands.

    \b
    Examples:
      secondlook memory get yard/gate/note/1
      secondlook memory get yard/gate/note/1 --json | jq .data
    """
    record = target.use(lambda store: store.load(record_id))
    if as_json:
        click.echo(to_json(as_document(record)))
    else:
        print_record(record, output_console())


@click.command()
@click.argument("prefix", default="")
@click.option(
    "--since",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Only what changed after this cursor; 0: everything.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=100,
    show_default=True,
    help="Most records shown.",
)
@on_a_store
def changes(prefix: str, since: int, limit: int, target: Target, as_json: bool) -> None:
    """List what changed after a cursor: the newest version of each record, deletions too.

    PREFIX is the beginning of an id: yard/gate/ for a camera, yard/gate/note/ for a kind of it.
    With --json the cursor is text, since it can be larger than what jq takes for a number.

    \b
    Examples:
      secondlook memory changes yard/
      secondlook memory changes --since 4711 --json | jq '.records[].id'
    """
    page = target.use(lambda store: _read(store, prefix, since, limit))
    if as_json:
        records = [as_document(record) for record in page.records]
        click.echo(to_json({"records": records, "cursor": str(page.cursor), "more": page.more}))
        return
    if page.records:
        print_records(page.records, output_console())
    there_is_more = ", and there is more" if page.more else ""
    click.echo(f"cursor {page.cursor}{there_is_more}: go on with --since {page.cursor}", err=True)


async def _read(store: ContextStore, prefix: str, since: int, limit: int) -> Changes:
    """As many changes as were asked for: one page of a store may hold fewer, or none."""
    found: dict[str, Record] = {}
    cursor, more = since, True
    while more and len(found) < limit:
        page = await store.changes(prefix, cursor, limit - len(found))
        for record in page.records:
            # Written again since the last page: it moved to its newest change.
            found.pop(record.id, None)
            found[record.id] = record
        cursor, more = page.cursor, page.more
    return Changes(tuple(found.values()), cursor, more)
