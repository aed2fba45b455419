"""``secondlook bench trust``."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from secondlook.cli.bench.trust.alarms import cases, false_alarms, notice
from secondlook.cli.bench.trust.outcomes import read_outcomes, resampled
from secondlook.cli.bench.trust.promise import keep_promise
from secondlook.cli.bench.trust.report import TrustBench, broken, document_of, show
from secondlook.cli.bench.trust.streams import SETTINGS, Setting
from secondlook.cli.console import output_console
from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust import TrustSettings

_CALM = 2000
_LONG = 20_000


@click.command()
@click.option(
    "--streams", default=500, show_default=True, type=click.IntRange(1),
    help="Streams of each kind, and runs of each change.",
)  # fmt: skip
@click.option(
    "--frames", default=100_000, show_default=True, type=click.IntRange(1000, 10_000_000),
    help="Frames of a stream: one window.",
)  # fmt: skip
@click.option("--alpha", default=0.01, show_default=True, help="Promised share of lost frames.")
@click.option("--delta", default=0.05, show_default=True, help="Allowed probability to break it.")
@click.option("--audit-rate", default=0.01, show_default=True, help="Share of audited frames.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all coins.")
@click.option(
    "--outcomes", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Real audits, JSON lines in the order of frames, to be resampled in blocks.",
)  # fmt: skip
@click.option(
    "--block", default=50, show_default=True, type=click.IntRange(1, 100_000),
    help="Successive outcomes of a block.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, metavar="KIND",
    help="Only streams of this kind, such as steady or real, and no alarms; may be repeated.",
)  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def trust(
    streams: int,
    frames: int,
    alpha: float,
    delta: float,
    audit_rate: float,
    seed: int,
    outcomes: Path | None,
    block: int,
    only: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Does the certificate hold, and does the monitor notice when it no longer does?

    Streams of frames are made whose truth is known, simulated or resampled from audits of your
    own. A coin audits them, a threshold is certified, and the frames that are really lost at that
    threshold are counted. Exit code 1 where a promise is broken more often than chance explains.

    A line of --outcomes is {"lowest_risk": 0.31, "highest_risk": 0.4}: the lowest risk among
    missed objects (0 where no candidate covers one, null where nothing is missed), and the highest
    risk of a candidate (null without one; may be left out).

    \b
    Examples:
      secondlook bench trust
      secondlook bench trust --streams 2000 --seed 7 --json trust.json
      secondlook bench trust --outcomes audits.jsonl --block 100 --only real
    """
    try:
        settings = TrustSettings(
            alpha=alpha, delta=delta, audit_rate=audit_rate, window_frames=frames
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInput(f"{first['loc'][0]}: {first['msg']}") from error
    kinds = list(SETTINGS)
    if outcomes is not None:
        make = resampled(*read_outcomes(outcomes), block)
        kinds.append(Setting("real", f"{outcomes.name}, in blocks of {block}", make))
    names = [kind.name for kind in kinds]
    for name in only:
        if name not in names:
            raise click.BadParameter(f"{name!r} is none of {', '.join(names)}", param_hint="--only")
    found = _measure(settings, kinds, streams, seed, only)
    if json_file is not None:
        json_file.write_text(json.dumps(document_of(found), indent=2) + "\n")
    show(found, output_console())
    problems = broken(found)
    for problem in problems:
        click.echo(f"broken: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


def _measure(
    settings: TrustSettings, kinds: list[Setting], streams: int, seed: int, only: tuple[str, ...]
) -> TrustBench:
    alpha, delta = settings.alpha, settings.delta
    # Numbered before some are left out: a kind has the same streams whatever stands beside it.
    chosen = [(n, kind) for n, kind in enumerate(kinds) if not only or kind.name in only]
    changes = [] if only else cases(alpha, settings.start_tau, _CALM, seed)
    rates = () if only else (alpha, alpha / 2)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=streams * (len(chosen) + len(changes) + len(rates)))

        def done() -> None:
            progress.advance(task)

        promises = []
        for number, kind in chosen:
            progress.update(task, description=kind.name)
            promises.append(keep_promise(kind, settings, streams, (seed, 0, number), done))
        alarms = []
        for number, case in enumerate(changes):
            progress.update(task, description=case.text.partition(":")[0])
            alarms.append(notice(case, alpha, delta, streams, (seed, 1, number), done))
        progress.update(task, description="long runs")
        quiet = [
            false_alarms(rate, _LONG, alpha, delta, streams, (seed, 2, number), done)
            for number, rate in enumerate(rates)
        ]
    return TrustBench(settings, seed, tuple(promises), tuple(alarms), tuple(quiet))
