"""The edge's side: what waits to be sent, and what nobody but a person can decide."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from secondlook.cli.console import output_console
from secondlook.cli.memory.arguments import document_from
from secondlook.cli.memory.shown import to_json, when
from secondlook.cli.memory.target import Target, by_whom, on_a_store
from secondlook.shared.errors import InvalidInput, NotFound
from secondlook.shared.memory import ContextStore, SqliteStore
from secondlook.shared.memory.kinds import check_known
from secondlook.shared.memory.replication import Parked, SqliteReplica

MOST_PARKED = 1000
"""Most parked records that are listed."""


@click.command()
@click.argument("record_id", metavar="[ID]", required=False)
@click.argument("document", metavar="[JSON|@FILE|-]", required=False)
@click.option("--take", type=click.Choice(["ours", "theirs"]), help="Let one side stand.")
@click.option("--raw", is_flag=True, help="Do not check the data against the schema of its kind.")
@by_whom
@on_a_store
def decide(
    record_id: str | None,
    document: str | None,
    take: str | None,
    raw: bool,
    writer: str,
    target: Target,
    as_json: bool,
) -> None:
    """Settle what edge and cloud have both changed and no rule unites.

    On the memory of an edge (--store sqlite:///...). Without ID: list what is held back, also
    what the cloud refused. With ID: show both sides. With a document or --take: let that stand;
    the edge then sends it.

    \b
    Examples:
      secondlook memory decide --store sqlite:///edge-memory.db
      secondlook memory decide yard/gate/note/1 --take theirs --store sqlite:///edge-memory.db
      secondlook memory decide yard/gate/note/1 '{"text": "both"}' --store sqlite:///edge-memory.db
    """
    if document is not None and take is not None:
        raise click.UsageError("give a document or --take, not both")
    if record_id is None:
        if take is not None:
            raise click.UsageError("--take needs an ID")
        found = target.use(_parked)
        if as_json:
            click.echo(to_json([_as_document(parked) for parked in found]))
        else:
            print_parked(found, output_console())
        return
    chosen = record_id
    data = None if document is None else document_from(document)

    async def work(store: ContextStore) -> Parked | None:
        parked = _of(await _parked(store), chosen)
        if take is None and data is None:
            return parked
        decided = data if take is None else parked.ours if take == "ours" else parked.theirs
        if decided is None:
            raise InvalidInput(f"{chosen}: nothing stands on that side", remedy="give a document")
        if not raw:
            check_known(chosen, decided)
        await (await _attached(store)).decide(chosen, decided, writer=writer)
        return None

    shown = target.use(work)
    if shown is None:
        click.echo(to_json({"id": chosen, "decided": True}) if as_json else f"{chosen}: decided")
    elif as_json:
        click.echo(to_json(_as_document(shown)))
    else:
        click.echo(f"{shown.id}: {shown.reason}, since {when(shown.since)}")
        for name, side in (("before", shown.base), ("ours", shown.ours), ("theirs", shown.theirs)):
            click.echo(f"{name:6}  {to_json(side)}")


async def replica_of(store: ContextStore) -> SqliteReplica | None:
    """The replica in this store; ``None`` where it is none. Makes none out of a plain store."""
    if not isinstance(store, SqliteStore):
        return None
    (replica,) = await store.read(lambda db: db.execute("SELECT replica FROM state").fetchone())
    return await SqliteReplica.attach(store) if replica else None


async def waiting_in(replica: SqliteReplica) -> dict[str, Any]:
    """What waits in a replica, for ``--json``."""
    counts = await replica.counts([""])
    return {
        "id": replica.id,
        "waiting": counts.waiting,
        "undecided": counts.undecided,
        "refused": counts.refused,
    }


def print_parked(found: list[Parked], console: Console) -> None:
    """What is held back, one line each."""
    if not found:
        console.print("nothing is held back")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("held back", "since", "why"):
        table.add_column(column, overflow="fold")
    for parked in found:
        why = f"{'undecided' if parked.undecided else 'refused'}: {parked.reason}"
        table.add_row(escape(parked.id), when(parked.since), escape(why))
    console.print(table)


async def _attached(store: ContextStore) -> SqliteReplica:
    replica = await replica_of(store)
    if replica is None:
        raise InvalidInput(
            "this memory is not the replica of an edge", remedy="--store sqlite:///PATH of an edge"
        )
    return replica


async def _parked(store: ContextStore) -> list[Parked]:
    return await (await _attached(store)).parked(MOST_PARKED)


def _of(found: list[Parked], record_id: str) -> Parked:
    for parked in found:
        if parked.id == record_id:
            return parked
    raise NotFound(f"{record_id}: nothing is held back")


def _as_document(parked: Parked) -> dict[str, Any]:
    return {
        "id": parked.id,
        "undecided": parked.undecided,
        "reason": parked.reason,
        "since": parked.since,
        "base": parked.base,
        "ours": parked.ours,
        "theirs": parked.theirs,
    }
