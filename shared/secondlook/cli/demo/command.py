"""``secondlook demo``."""

from __future__ import annotations

from pathlib import Path

import anyio
import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from secondlook.cli.console import output_console
from secondlook.cli.demo.run import DemoPlan, Result, run_demo
from secondlook.cli.price.command import CLOUD_MODEL, EDGE_MODEL
from secondlook.cli.price.table import tables_of
from secondlook.shared.telemetry import configure_logging


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    default=60.0,
    show_default=True,
    help="Length of the clip, in its own time.",
)
@click.option(
    "--analysis-fps",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    show_default=True,
    help="Analysed frames a second.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=7,
    show_default=True,
    help="Which street, traffic and weather; also of the audit coin.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-report"),
    show_default=True,
    help="Folder for the report; earlier results in it are replaced.",
)
@click.option("--edge-model", default=EDGE_MODEL, show_default=True, help="ONNX file or zoo:NAME.")
@click.option(
    "--cloud-model", default=CLOUD_MODEL, show_default=True, help="ONNX file or zoo:NAME."
)
def demo(
    seconds: float,
    analysis_fps: float,
    seed: int,
    out: Path,
    edge_model: str,
    cloud_model: str,
) -> None:
    """A minute of a simulated street through both tiers, on this machine alone.

    Starts the cloud service and the edge daemon as real processes on loopback, plays the street
    as fast as they can, compares with the edge alone and with sending every frame, and writes
    report.html, annotated.mp4, events.jsonl and summary.json.

    \b
    Examples:
      secondlook demo
      secondlook demo --seconds 20 --seed 11 --out /tmp/street-11
    """
    configure_logging("warning")
    plan = DemoPlan(seconds, analysis_fps, seed, out, edge_model, cloud_model)
    result = anyio.run(_run, plan)
    console = output_console()
    for table in tables_of(result.outcomes):
        console.print(table)
    console.print(result.verdict)
    _tell(console, plan, result)


def _tell(console: Console, plan: DemoPlan, result: Result) -> None:
    console.print(
        f"Played in {result.play_s:.0f} s, compared in {result.compare_s:.0f} s. "
        f"Open [link=file://{(plan.out / 'report.html').absolute()}]{plan.out / 'report.html'}"
        "[/link] for charts and pictures.",
        highlight=False,
    )


class _Bars:
    """Progress for people."""

    def __init__(self, progress: Progress, frames: int) -> None:
        self._progress = progress
        self._tiers: TaskID = progress.add_task("both tiers: starting", total=frames)
        self._baselines: TaskID = progress.add_task("baselines", total=frames, start=False)

    def playing(self, answered: int, revised: int) -> None:
        self._progress.update(
            self._tiers, completed=answered, description=f"both tiers: {revised} answers revised"
        )

    def comparing(self, done: int) -> None:
        self._progress.start_task(self._baselines)
        self._progress.update(self._baselines, completed=done)


async def _run(plan: DemoPlan) -> Result:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:
        return await run_demo(plan, _Bars(progress, plan.street().frames))
