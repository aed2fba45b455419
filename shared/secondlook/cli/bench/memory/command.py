"""``secondlook bench memory``."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from secondlook.cli.bench.memory.report import document_of, show
from secondlook.cli.bench.memory.run import measure


@click.command()
@click.option("--redis", "redis_url", help="A Redis to use; its key space `bench-...` is written.")
@click.option(
    "--records", default=100_000, show_default=True, type=click.IntRange(2000),
    help="Records of the large memory in which changes are looked for.",
)  # fmt: skip
@click.option(
    "--seconds", default=1.0, show_default=True, type=click.FloatRange(0.1), help="Of each turn."
)
@click.option(
    "--rounds", default=3, show_default=True, type=click.IntRange(1), help="Turns of each system."
)
@click.option("--callers", default="1,8,64", show_default=True, help="At once, in turn.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def memory(
    redis_url: str | None,
    records: int,
    seconds: float,
    rounds: int,
    callers: str,
    json_file: Path | None,
) -> None:
    """Measure the context memory against what it is built on.

    Saves into Redis against the bare client that calls the same script; saves through the memory
    service against a bare gRPC echo plus a bare round trip to Redis; saves into SQLite against bare
    SQLite in the same journal mode; changes out of many records against changes out of few. Without
    --redis a redis-server is started for the run, where one can be found.

    \b
    Examples:
      secondlook bench memory
      secondlook bench memory --records 1000000 --json memory.json
      secondlook bench memory --redis redis://127.0.0.1:6379/9 --callers 1,64
    """
    try:
        counts = [int(word) for word in callers.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter(
            "numbers of callers are expected, such as 1,8,64", param_hint="--callers"
        )
    found = measure(redis_url, records, seconds, rounds, counts)
    if json_file is not None:
        json_file.write_text(json.dumps(document_of(found), indent=2) + "\n")
    show(found, Console())
