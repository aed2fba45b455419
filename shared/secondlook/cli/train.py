"""``secondlook train``: the demo models, from the simulated street."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.group()
def train() -> None:
    """Train the demo models (needs the train extra).

    \b
    Examples:
      secondlook train street --variant light --out light --minutes 90
      secondlook train street --variant heavy --out heavy --export-only
    """


@train.command()
@click.option("--variant", type=click.Choice(["light", "heavy"]), required=True, help="Which one.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of checkpoint and model; a training that was stopped goes on from there.",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Length of the training."
)
@click.option("--steps", type=click.IntRange(min=1), help="Length in optimiser steps instead.")
@click.option("--batch", type=click.IntRange(1, 1024), help="Frames in one step.")
@click.option("--streets", type=click.IntRange(min=1), help="Streets to learn from.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that draw streets.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.")
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False), help="Folder of drawn frames."
)
@click.option("--export-only", is_flag=True, help="Export and measure the checkpoint in --out.")
def street(export_only: bool, **given: object) -> None:
    """Train a detector on simulated streets, export it, measure it on streets never seen.

    Writes the ONNX file and its card into --out. On a GPU it takes minutes, on a CPU hours; it may
    be stopped at any time and started again.

    \b
    Examples:
      secondlook train street --variant light --out light --minutes 90
      secondlook train street --variant heavy --out heavy --minutes 180 --workers 4
      secondlook train street --variant heavy --out heavy --export-only
    """
    if given["minutes"] is not None and given["steps"] is not None:
        raise click.UsageError("give --minutes or --steps, not both")
    # Imported here, so that `--help` needs no torch.
    from secondlook.cloud.training import main

    arguments = [f"--{name}={value}" for name, value in given.items() if value is not None]
    sys.exit(main([*arguments, *(["--export-only"] if export_only else [])]))
