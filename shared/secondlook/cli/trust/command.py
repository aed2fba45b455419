"""``secondlook trust``."""

from __future__ import annotations

from pathlib import Path

import click

from secondlook.cli.console import output_console
from secondlook.cli.memory.progress import progress_bar
from secondlook.cli.memory.shown import to_json
from secondlook.cli.memory.target import Target, on_a_store
from secondlook.cli.trust.gathering import gather
from secondlook.cli.trust.plot import write_plot
from secondlook.cli.trust.table import print_modes, print_standings
from secondlook.shared.clock import SystemClock


@click.command()
@click.argument("prefix", default="")
@click.option(
    "--plot", "plot_file", metavar="FILE.png", type=click.Path(path_type=Path, dir_okay=False),
    help="Draw what each threshold would lose, and what the last windows proved.",
)  # fmt: skip
@on_a_store
def trust(prefix: str, plot_file: Path | None, target: Target, as_json: bool) -> None:
    """How often are confident answers wrong, and is that proved?

    For each camera and site under PREFIX (such as yard/ or yard/gate/): its state, the threshold in
    force, and the certified bound of the share of frames that miss an object of the heavy model.
    Reads what the edges write into the context memory.

    \b
    learning        no window is complete yet
    certified       the bound holds, but for the stated probability
    uncertified     the last window proved nothing: the reason says why
    alarm           more is lost than was promised; the threshold has been lowered
    recertifying    what was certified is void, a new window fills
    slo-infeasible  the budget does not suffice to keep the promise

    \b
    Examples:
      secondlook trust --store grpc://127.0.0.1:50051
      secondlook trust yard/ --plot trust.png
      secondlook trust --json | jq '.standings[] | {name, state}'
    """
    now_s = SystemClock().wall()
    with progress_bar() as progress:
        found = target.use(lambda store: gather(store, prefix, now_s, progress))
    if as_json:
        standings = [standing.as_document() for standing in found.standings]
        modes = {name: mode.document() for name, mode in found.modes.items()}
        click.echo(to_json({"standings": standings, "modes": modes, "skipped": found.skipped}))
    elif found.standings:
        print_standings(found.standings, now_s, output_console())
    else:
        under = f" under {prefix}" if prefix else ""
        click.echo(f"no camera{under} has written of its trust yet", err=True)
    if found.modes and not as_json:
        print_modes(found.modes, output_console())
    if found.skipped and not as_json:
        click.echo(f"{len(found.skipped)} records cannot be read: {found.skipped[0]}", err=True)
    if plot_file is not None:
        drawn = write_plot(found.standings, plot_file)
        left = len(found.standings) - drawn
        more = f"; {left} more are not drawn, narrow PREFIX" if left else ""
        click.echo(f"{plot_file}: {drawn} cameras and sites{more}", err=True)
