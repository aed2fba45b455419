"""``secondlook memory put`` and ``delete``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click

from secondlook.cli.memory.arguments import document_from, duration
from secondlook.cli.memory.shown import as_document, said, to_json
from secondlook.cli.memory.target import Target, by_whom, on_a_store
from secondlook.shared.errors import VersionConflict
from secondlook.shared.memory import ContextStore, Record
from secondlook.shared.memory.kinds import check_known

ATTEMPTS = 8
"""How often a write without an expected version meets other writers before it gives up."""

_expect = click.option(
    "--expect",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Write only if this version stands.",
)


@click.command()
@click.argument("record_id", metavar="ID")
@click.argument("document", metavar="JSON|@FILE|-")
@_expect
@click.option(
    "--any-version", is_flag=True, help="Overwrite whatever stands: what others wrote is gone."
)
@click.option("--ttl", "ttl_s", type=duration, help="Time to live: 30s, 5m, 2h, 7d.")
@click.option("--raw", is_flag=True, help="Do not check the data against the schema of its kind.")
@by_whom
@on_a_store
def put(
    record_id: str,
    document: str,
    expect: int | None,
    any_version: bool,
    ttl_s: float | None,
    raw: bool,
    writer: str,
    target: Target,
    as_json: bool,
) -> None:
    """Save a record. Without --expect it must not exist yet.

    \b
    Examples:
      secondlook memory put yard/gate/note/1 '{"text": "new lamp"}'
      secondlook memory put yard/gate/note/1 @note.json --expect 1
      jq .data old.json | secondlook memory put yard/gate/note/2 - --ttl 7d
    """
    if any_version and expect is not None:
        raise click.UsageError("--expect and --any-version exclude each other")
    data = document_from(document)
    if not raw:
        check_known(record_id, data)

    async def save(store: ContextStore) -> Record:
        def write(expected: int) -> Awaitable[Record]:
            return store.save(record_id, data, expected, writer=writer, ttl_s=ttl_s)

        return await (_whatever_stands(write, 0) if any_version else write(expect or 0))

    try:
        record = target.use(save, create=True)
    except VersionConflict as conflict:
        conflict.remedy = _remedy(conflict, "--any-version overwrites it")
        raise
    click.echo(to_json(as_document(record)) if as_json else said(record))


@click.command()
@click.argument("record_id", metavar="ID")
@_expect
@click.option("--any-version", is_flag=True, help="Delete whatever stands.")
@by_whom
@on_a_store
def delete(
    record_id: str,
    expect: int | None,
    any_version: bool,
    writer: str,
    target: Target,
    as_json: bool,
) -> None:
    """Delete a record. It leaves a tombstone, so that replicas learn of it.

    \b
    Examples:
      secondlook memory delete yard/gate/note/1 --expect 2
      secondlook memory delete yard/gate/note/1 --any-version
    """
    if any_version == (expect is not None):
        raise click.UsageError("give --expect VERSION, the one you have seen, or --any-version")

    async def remove(store: ContextStore) -> Record:
        def write(expected: int) -> Awaitable[Record]:
            return store.delete(record_id, expected, writer=writer)

        if expect is not None:
            return await write(expect)
        return await _whatever_stands(write, (await store.load(record_id)).version)

    try:
        tombstone = target.use(remove)
    except VersionConflict as conflict:
        conflict.remedy = _remedy(conflict, "--any-version deletes it")
        raise
    click.echo(to_json(as_document(tombstone)) if as_json else said(tombstone))


async def _whatever_stands(write: Callable[[int], Awaitable[Record]], expected: int) -> Record:
    """Write over whatever version stands, beginning with a guess."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await write(expected)
        except VersionConflict as conflict:  # noqa: PERF203 - it tells which version to expect
            expected = conflict.actual
    return await write(expected)


def _remedy(conflict: VersionConflict, by_force: str) -> str:
    if conflict.actual == 0:
        return "nothing stands: leave --expect away"
    return f"look at it with get, then --expect {conflict.actual}; {by_force}"
