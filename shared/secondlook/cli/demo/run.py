"""The demo: play, compare, tell."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

from secondlook.cli.demo.live import Live, Street, play
from secondlook.cli.demo.report import Page, render
from secondlook.cli.demo.samples import Sample, choose, sample_of
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.models import load_model
from secondlook.cli.price.outcome import Outcome
from secondlook.cli.price.run import Comparison, Plan, price
from secondlook.cli.price.table import sentence
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.sim import StreetCamera, StreetConfig
from secondlook.shared.trust import TrustSettings

FILES = ("report.html", "annotated.mp4", "events.jsonl", "summary.json")
"""What the demo leaves in its folder; what bore these names before is replaced."""

_SAMPLES = 6


class Watcher(Protocol):
    """Who wants to see how it goes."""

    def playing(self, answered: int, revised: int) -> None:
        """Both tiers run; so many frames were answered, so many answers revised."""
        ...

    def comparing(self, done: int) -> None:
        """The baselines run; so many frames are done."""
        ...


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the user chose.

    Attributes:
        seconds: length of the clip.
        analysis_fps: analysed frames a second.
        seed: which street.
        out: folder for the results.
        edge_model, cloud_model: file or ``zoo:NAME``.
    """

    seconds: float = 60.0
    analysis_fps: float = 5.0
    seed: int = 7
    out: Path = Path("demo-report")
    edge_model: str = "zoo:street_light"
    cloud_model: str = "zoo:street_heavy"

    def street(self) -> Street:
        """What is played: the camera gives at least ten frames a second, as a real one would."""
        step = max(1, round(10.0 / self.analysis_fps))
        camera_fps = self.analysis_fps * step
        frames = max(1, round(self.seconds * self.analysis_fps))
        url = f"sim://street?seed={self.seed}&fps={camera_fps:g}&frames={frames * step}"
        return Street(url, self.analysis_fps, frames, self.edge_model, self.cloud_model, self.seed)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came out.

    Attributes:
        comparison: every system on the clip.
        outcomes: the same in numbers.
        live: what both tiers did.
        verdict: one sentence.
        play_s, compare_s: wall time of the two parts, seconds.
    """

    comparison: Comparison
    outcomes: list[Outcome]
    live: Live
    verdict: str
    play_s: float
    compare_s: float


async def run_demo(plan: DemoPlan, watcher: Watcher) -> Result:
    """Run the demo and write its files.

    Raises:
        InvalidConfig: the folder cannot be used, or a number is out of range.
        InvalidModel: a model cannot be used.
        Unavailable: a process failed.
    """
    street = plan.street()
    StreetConfig.from_url(street.url)  # says what is wrong with seed and rate before anything runs
    await anyio.to_thread.run_sync(_prepare, plan.out)
    started = time.monotonic()
    async with _scratch() as scratch:
        live = await play(
            street,
            plan.out.absolute(),
            scratch,
            lambda playback: watcher.playing(len(playback.answers), playback.revisions),
        )
    played = time.monotonic()
    # The baselines come after: what is measured is not slowed by its neighbours.
    comparison = await price(
        Plan(
            street.url,
            analysis_fps=street.analysis_fps,
            max_frames=street.frames,
            pipeline=PipelineSettings(trust=TrustSettings(seed=street.audit_seed)),
        ),
        await anyio.to_thread.run_sync(load_model, plan.edge_model, "--edge-model"),
        await anyio.to_thread.run_sync(load_model, plan.cloud_model, "--cloud-model"),
        with_secondlook=False,
        on_frame=lambda done, _: watcher.comparing(done),
    )
    comparison = comparison.beside(_ledger(live, comparison.standard.sequences))
    outcomes = comparison.outcomes()
    result = Result(
        comparison,
        outcomes,
        live,
        sentence(outcomes),
        played - started,
        time.monotonic() - played,
    )
    await anyio.to_thread.run_sync(_write, plan, result)
    return result


@asynccontextmanager
async def _scratch() -> AsyncIterator[Path]:
    """A folder for settings and logs, gone at the end."""
    folder = await anyio.to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="secondlook-demo-"))
    try:
        yield Path(folder)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


def _ledger(live: Live, sequences: list[int]) -> Ledger:
    ledger = live.playback.ledger(sequences)
    ledger.traffic = live.traffic
    ledger.escalations = live.calls
    ledger.inferences = live.verdicts
    ledger.failures = live.calls - live.verdicts
    return ledger


def _prepare(out: Path) -> None:
    """Make the folder, without the results of an earlier run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise InvalidConfig(
            f"--out {out}: {error.strerror}", remedy="name a folder that can be written"
        ) from error


def _write(plan: DemoPlan, result: Result) -> None:
    """The report and the summary. Blocking."""
    (plan.out / "summary.json").write_text(json.dumps(summary(plan, result), indent=2) + "\n")
    (plan.out / "report.html").write_text(render(_page(plan, result)), encoding="utf-8")


def summary(plan: DemoPlan, result: Result) -> dict[str, Any]:
    """``summary.json``: what `secondlook price --json` gives, and how the demo went."""
    return {
        "verdict": result.verdict,
        "seconds": plan.seconds,
        "seed": plan.seed,
        **result.comparison.as_json(result.outcomes),
        "revisions": result.live.playback.revisions,
        "wall_s": {"play": round(result.play_s, 1), "compare": round(result.compare_s, 1)},
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
    }


def _page(plan: DemoPlan, result: Result) -> Page:
    comparison = result.comparison
    standard, metric = comparison.standard, comparison.metric
    frames = len(standard)
    classes = ", ".join(metric.classes or ())
    return Page(
        verdict=result.verdict,
        facts=(
            (
                f"{standard.duration_s:.0f} s of a simulated street (seed {plan.seed}), "
                f"{frames} frames of {standard.width}x{standard.height}, {plan.analysis_fps:g} a "
                f"second. Edge: {comparison.light.name}. Cloud: {comparison.heavy.name}. "
                f"Counted: {classes}."
            ),
            f"Played through both tiers in {result.play_s:.0f} s on {os.cpu_count()} cores.",
        ),
        outcomes=result.outcomes,
        ledgers=comparison.ledgers,
        standard=standard,
        metric=metric,
        samples=_samples(result),
        files=FILES[1:],
    )


def _samples(result: Result) -> list[Sample]:
    """Frames to show, drawn again: the street can draw any frame at any time."""
    comparison = result.comparison
    standard, metric = comparison.standard, comparison.metric
    ledger = comparison.ledgers[-1]
    camera = StreetCamera(StreetConfig.from_url(comparison.plan.clip))
    regions = result.live.playback.regions
    samples = []
    for index in choose(ledger, standard, metric, _SAMPLES):
        sequence = standard.sequences[index]
        image = camera.draw(sequence).image
        samples.append(sample_of(index, image, ledger, standard, metric, regions.get(sequence, [])))
    return samples
