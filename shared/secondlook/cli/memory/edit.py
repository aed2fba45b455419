"""``secondlook memory edit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from secondlook.cli.memory.arguments import duration, parse_json
from secondlook.cli.memory.editor import Edited
from secondlook.cli.memory.paths import parse_path, put_at, remove_at
from secondlook.cli.memory.shown import as_document, said, to_json
from secondlook.cli.memory.target import Target, by_whom, on_a_store
from secondlook.shared.errors import InvalidInput, MergeConflict, NotFound
from secondlook.shared.memory import ContextStore, Document, Record, merge
from secondlook.shared.memory import edit as edit_record
from secondlook.shared.memory.kinds import check_known, rule_for

Change = Callable[[dict[str, Any]], Document]


@click.command()
@click.argument("record_id", metavar="ID")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=JSON", help="Set a field: a.b[2]=0.5"
)
@click.option("--unset", "removals", multiple=True, metavar="PATH", help="Remove a field.")
@click.option("--ttl", "ttl_s", type=duration, help="New time to live; default: as it is.")
@click.option("--raw", is_flag=True, help="Do not check the data against the schema of its kind.")
@by_whom
@on_a_store
def edit(
    record_id: str,
    settings: tuple[str, ...],
    removals: tuple[str, ...],
    ttl_s: float | None,
    raw: bool,
    writer: str,
    target: Target,
    as_json: bool,
) -> None:
    """Change a record that stands, in $VISUAL or $EDITOR, or with --set and --unset.

    What others write meanwhile is kept: both changes are merged by field, by the rule of the
    record's kind. Where one field was changed on both sides and no rule decides, nothing is
    saved, both sides are shown, and your text is kept in a file.

    \b
    Examples:
      secondlook memory edit yard/gate/note/1
      secondlook memory edit yard/gate/note/1 --set 'text="new lamp"' --set lux=40
      secondlook memory edit yard/gate/note/1 --unset lux --ttl 7d
    """
    steps = [_setting(text) for text in settings] + [_removal(text) for text in removals]
    base = target.use(lambda store: store.load(record_id))

    def save(change: Change) -> Record:
        return target.use(lambda store: _save(store, base, change, writer, ttl_s, raw))

    if steps:

        def change(standing: dict[str, Any]) -> Document:
            for step in steps:
                step(standing)
            return standing

        record = save(change)
    else:
        with Edited(base.data) as edited:
            data = edited.data()
            if data is None:
                click.echo(f"{record_id}: nothing changed", err=True)
                return
            try:
                record = save(
                    lambda standing: merge(
                        base.data, data, standing, rule_for(record_id), record_id
                    )
                )
            except MergeConflict as conflict:
                _show_both(conflict)
                raise
    click.echo(to_json(as_document(record)) if as_json else said(record))


async def _save(
    store: ContextStore,
    base: Record,
    change: Change,
    writer: str,
    ttl_s: float | None,
    raw: bool,
) -> Record:
    def mutate(standing: dict[str, Any]) -> Document:
        if base.data and not standing:
            raise NotFound(f"{base.id}: deleted by another writer meanwhile", remedy="see put")
        data = change(standing)
        if not raw:
            check_known(base.id, data)
        return data

    return await edit_record(store, base.id, mutate, writer=writer, ttl_s=ttl_s)


def _setting(text: str) -> Callable[[dict[str, Any]], None]:
    name, equals, raw = text.partition("=")
    if not equals:
        raise InvalidInput(f"--set {text}: PATH=JSON expected")
    path = parse_path(name)
    try:
        value = parse_json(raw.encode(errors="surrogateescape"), f"--set {name}: {raw}")
    except InvalidInput as error:
        error.remedy = "text is written with its quotes: 'name=\"value\"'"
        raise
    return lambda document: put_at(document, path, value)


def _removal(text: str) -> Callable[[dict[str, Any]], None]:
    path = parse_path(text)
    return lambda document: remove_at(document, path)


def _show_both(conflict: MergeConflict) -> None:
    click.echo(f"{conflict.path} was changed on both sides:", err=True)
    for name, value in (
        ("before", conflict.base),
        ("yours", conflict.ours),
        ("theirs", conflict.theirs),
    ):
        click.echo(f"  {name:6}  {to_json(value)}", err=True)
