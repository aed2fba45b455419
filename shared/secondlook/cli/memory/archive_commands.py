"""``secondlook memory export`` and ``import``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click
from rich.progress import Progress

from secondlook.cli.memory.archive import Reader
from secondlook.cli.memory.exporting import export_records
from secondlook.cli.memory.importing import Importer, OnConflict, Report
from secondlook.cli.memory.progress import progress_bar
from secondlook.cli.memory.shown import to_json
from secondlook.cli.memory.target import Target, by_whom, on_a_store
from secondlook.shared.errors import InvalidInput

EXIT_UNDECIDED = 1


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--prefix", default="", help="Only records whose id begins so.")
@click.option(
    "--since",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Only what changed after this cursor, as the last export printed it.",
)
@on_a_store
def export(file: str, prefix: str, since: int, target: Target, as_json: bool) -> None:
    """Copy the memory into a file of JSON lines; gzip where the name ends in .gz.

    The file appears when it is complete. The store may be written to meanwhile: each record is
    in the file as it stood at some moment of the export. --json prints the header when done.

    \b
    Examples:
      secondlook memory export backup.jsonl.gz
      secondlook memory export later.jsonl.gz --since 4711
      secondlook memory export - --prefix yard/ | jq -c .id
    """
    if file == "-" and as_json:
        raise click.UsageError("the records go to standard output already; leave --json away")
    with progress_bar() as progress:
        task = progress.add_task("exporting", total=None)
        header = target.use(
            lambda store: export_records(
                store, file, prefix, since, lambda n: progress.advance(task, n)
            ),
        )
    if as_json:
        click.echo(header.line().decode(), nl=False)
    else:
        click.echo(f"{file}: {header.records} records, cursor {header.cursor}", err=file == "-")


@click.command("import")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--on-conflict",
    type=click.Choice([choice.value for choice in OnConflict]),
    default=OnConflict.FAIL.value,
    show_default=True,
    help="What happens where a record stands already with other data.",
)
@click.option("--raw", is_flag=True, help="Do not check the data against the schemas of kinds.")
@by_whom
@on_a_store
def import_(
    file: str, on_conflict: str, raw: bool, writer: str, target: Target, as_json: bool
) -> None:
    """Write the records of an export into a memory.

    To import a file twice has no second effect, so an import that was interrupted is begun again
    with the same command. Where a record stands already with other data: skip leaves it, replace
    overwrites it, merge unites both by the rule of their kind (there is no common ancestor:
    counters add), fail stops. Versions count anew; deletions in the file delete under replace.

    \b
    Exit codes: as of the group; 1 also where merge left records undecided.

    \b
    Examples:
      secondlook memory import backup.jsonl.gz --store sqlite:///restored.db
      secondlook memory import backup.jsonl.gz --on-conflict skip --json
    """
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar())
        reader = Reader(stack.enter_context(_opened(file)), file)
        report = Report()
        try:
            target.use(
                lambda store: _import(
                    reader,
                    Importer(store, OnConflict(on_conflict), writer, raw, report),
                    progress,
                ),
                create=True,
            )
        except BaseException:  # also on ^C: it can be begun again, so it is told how far it got
            progress.stop()
            click.echo(f"stopped after {report.lines} of {reader.header.records} lines", err=True)
            raise
    if as_json:
        click.echo(to_json(report.as_document()))
    else:
        _tell(file, report)
    if report.undecided:
        sys.exit(EXIT_UNDECIDED)


async def _import(reader: Reader, importer: Importer, progress: Progress) -> None:
    task = progress.add_task("importing", total=reader.header.records)
    await importer.run(reader, lambda n: progress.advance(task, n))


def _tell(file: str, report: Report) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in report.counts() if count)
    click.echo(f"{file}: {counts or 'no records'}")
    for line, conflict in report.undecided:
        click.echo(f"undecided: line {line.number}, {line.id}: {conflict.message}", err=True)


def _opened(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
