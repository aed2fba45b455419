"""A whole run of the command: every rate, every link, and what is shown meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio.to_thread
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typing_extensions import Self

from secondlook.cli.price.models import load_model
from secondlook.cli.price.over_link import LinkRun, play_over
from secondlook.cli.price.plan import Plan
from secondlook.cli.price.report import Part
from secondlook.cli.price.run import price
from secondlook.shared.detect import Detector

_EVERY_S = 30.0
"""How often a line is written where there is no terminal to draw on."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the user asked for.

    Attributes:
        plan: at the first rate.
        rates: analysed frames a second, one comparison each.
        edge_model, cloud_model: file or ``zoo:NAME``.
        links: played over after each comparison.
    """

    plan: Plan
    rates: Sequence[float]
    edge_model: str
    cloud_model: str
    links: Sequence[str]


async def run_jobs(job: Job) -> list[Part]:
    """Run everything, one thing at a time.

    Raises:
        SecondlookError: a model or the clip cannot be used.
    """
    with Watch() as watch:
        return [await _part(job, replace(job.plan, analysis_fps=rate), watch) for rate in job.rates]


async def _part(job: Job, plan: Plan, watch: Watch) -> Part:
    watch.begin("loading the models", None)
    light, heavy = await _models(job)
    watch.begin(f"comparing at {plan.analysis_fps:g} frames a second", plan.max_frames)
    comparison = await price(
        plan,
        light,
        heavy,
        on_frame=lambda done, _: watch.done(done),
        on_total=watch.expect,
    )
    runs: list[LinkRun] = []
    for name in job.links:
        light, heavy = await _models(job)
        watch.begin(f"playing over {name}", len(comparison.standard))
        run = await play_over(
            comparison.plan,
            name,
            light,
            heavy,
            comparison.standard,
            comparison.metric,
            on_answer=watch.done,
        )
        runs.append(run)
    return Part(comparison, comparison.outcomes(), runs)


async def _models(job: Job) -> tuple[Detector, Detector]:
    light = await anyio.to_thread.run_sync(load_model, job.edge_model, "--edge-model")
    try:
        heavy = await anyio.to_thread.run_sync(load_model, job.cloud_model, "--cloud-model")
    except BaseException:  # also when cancelled, the first model must be let go
        light.close()
        raise
    return light, heavy


class Watch:
    """Progress on standard error: a bar on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._what = ""
        self._total: int | None = None
        self._began_s = self._told_s = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, what: str, total: int | None) -> None:
        """Something new begins."""
        self._what, self._total = what, total
        self._began_s = self._told_s = time.monotonic()
        self._progress.reset(self._task, description=what, total=total)

    def expect(self, total: int) -> None:
        """It has so many frames."""
        self._total = total
        self._progress.update(self._task, total=total)

    def done(self, frames: int) -> None:
        """So many of them are done."""
        self._progress.update(self._task, completed=frames)
        now_s = time.monotonic()
        if not self._console.is_terminal and now_s - self._told_s >= _EVERY_S and frames:
            self._told_s = now_s
            self._console.print(
                line_of(self._what, frames, self._total, now_s - self._began_s), highlight=False
            )


def line_of(what: str, frames: int, total: int | None, elapsed_s: float) -> str:
    """Where it stands, and when it will be done."""
    each_s = elapsed_s / frames
    of = "" if total is None else f" of {total}"
    line = f"{what}: {frames}{of} frames, {each_s:.2f} s each"
    if total is not None and total > frames:
        left_s = (total - frames) * each_s
        line += f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", {left_s:.0f} s left"
    return line
