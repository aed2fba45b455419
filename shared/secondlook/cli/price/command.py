"""``secondlook price``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import anyio
import click
from rich.console import Console

from secondlook.cli.price.options import (
    CLOUD_MODEL,
    EDGE_MODEL,
    input_options,
    latency_in,
    links_in,
    numbers_in,
    output_options,
    own_options,
    system_options,
)
from secondlook.cli.price.passed import with_options
from secondlook.cli.price.plan import Curve, Plan
from secondlook.cli.price.report import Part, facts, render
from secondlook.cli.price.session import Job, run_jobs
from secondlook.cli.price.shapes import as_png
from secondlook.cli.price.table import sentence
from secondlook.edge.control import BudgetSettings
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput
from secondlook.shared.telemetry import configure_logging

__all__ = ["CLOUD_MODEL", "EDGE_MODEL", "price"]

_PAGE_COLUMNS = 110
"""Width of the tables where they go into a file."""


@click.command()
@click.argument("clip")
@input_options
@system_options
@own_options
@output_options
def price(
    clip: str,
    edge_model: str,
    cloud_model: str,
    analysis_fps: str,
    clip_fps: float,
    max_frames: int | None,
    classes: str | None,
    systems: str,
    jpeg_quality: int,
    low_jpeg_quality: int,
    crf: int,
    h265_crf: int,
    band: str,
    gate: str | None,
    tau: float | None,
    carrier: str | None,
    budget_kb_per_s: float | None,
    cloud_per_s: float | None,
    more: tuple[str, ...],
    verdict_latency: str,
    seed: int,
    json_file: str | None,
    curve_file: str | None,
    taus: str,
    qualities: str,
    crfs: str,
    report_dir: str | None,
    links: str,
    block_s: float,
    cache_dir: str | None,
    no_cache: bool,
) -> None:
    """What would it cost on my footage, and how much would agree?

    CLIP is a video file, a folder of images, or any other source of frames (sim://street?seed=3).
    No labels are needed: answers are held against what the cloud model sees in the untouched
    frames. Everything really runs: frames are really encoded, sent over loopback gRPC, decoded and
    looked at; bytes are TCP payload as counted on the way (messages, HTTP/2 framing, retries),
    with connection set-up apart. KB is 1000 bytes.

    Read "a→b" as: said at once → when all verdicts were in. Times are measured on this machine,
    from capture to answer. A verdict that took L seconds helps only frames later than that.

    What baselines said is kept (--cache), so that only what is new is computed.

    \b
    Examples:
      secondlook price clip.mp4 --edge-model yolox_nano.onnx --cloud-model yolov8s.onnx
      secondlook price clip.mp4 --analysis-fps 3 --max-frames 200 --json numbers.json
      secondlook price clip.mp4 --systems all --curve curve.png --report report
      secondlook price clip.mp4 --systems edge,ours,ablations --analysis-fps 30,10,3
      secondlook price clip.mp4 --systems edge,ours --link 4g,outage
    """
    configure_logging("warning")
    rates = numbers_in(analysis_fps, "--analysis-fps", 0.01, 240)
    given = {"--seed": seed, "--gate": gate, "--tau": tau, "--carrier": carrier}
    pipeline = with_options(
        PipelineSettings(),
        {option: value for option, value in given.items() if value is not None},
        (f"trust.seed={seed}", *more),
    )
    low, high = (numbers_in(band, "--band", 0, 1) * 2)[:2]
    curve = None
    if curve_file is not None:
        curve = Curve(
            tuple(numbers_in(taus, "--taus", 1e-6, 1)),
            tuple(int(q) for q in numbers_in(qualities, "--qualities", 1, 100, empty=True)),
            tuple(int(c) for c in numbers_in(crfs, "--crfs", 0, 51)),
        )
    plan = Plan(
        clip=clip,
        analysis_fps=rates[0],
        clip_fps=clip_fps,
        max_frames=max_frames,
        classes=None if classes is None else tuple(classes.split(",")),
        jpeg_quality=jpeg_quality,
        crf=crf,
        pipeline=pipeline,
        systems=tuple(systems.split(",")),
        low_jpeg_quality=low_jpeg_quality,
        h265_crf=h265_crf,
        band=(low, high),
        verdict_latency_s=latency_in(verdict_latency),
        seed=seed,
        block_s=block_s,
        curve=curve,
        budget=_budget(budget_kb_per_s, cloud_per_s),
        cache=None if no_cache else Path(cache_dir) if cache_dir else default_cache(),
        cloud_model=cloud_model,
    )
    plan.specs()  # says what is wrong before anything runs
    for option, file in (("--json", json_file), ("--curve", curve_file)):
        if file not in (None, "-"):
            _check_writable(Path(str(file)), option)
    folder = None if report_dir is None else _folder(Path(report_dir))
    job = Job(plan, rates, edge_model, cloud_model, links_in(links))
    parts = anyio.run(run_jobs, job)
    # The table goes where it does not mix with JSON on standard output.
    console = Console(stderr=json_file == "-")
    if not console.is_terminal:
        console.width = _PAGE_COLUMNS
    show(parts, console)
    text = json.dumps(document(parts), indent=2) + "\n"
    if json_file == "-":
        click.echo(text, nl=False)
    elif json_file is not None:
        Path(json_file).write_text(text)
    _draw(parts, curve_file)
    if folder is not None:
        (folder / "report.html").write_text(render(parts), encoding="utf-8")
        (folder / "numbers.json").write_text(text)
        if curve_file is not None:
            _draw(parts, str(folder / "curve.png"))


def show(parts: list[Part], console: Console) -> None:
    """Everything in words and tables."""
    for part in parts:
        console.print(f"{part.comparison.plan.clip}:", highlight=False)
        for line in facts(part):
            console.print(line, highlight=False)
        for table in part.tables():
            console.print(table)
        if said := sentence(part.shown):
            console.print(said)


def document(parts: list[Part]) -> dict[str, Any]:
    """The JSON; of several rates, the first one's keys, and all of them under ``rates``."""
    found = []
    for part in parts:
        data = part.comparison.as_json(part.outcomes)
        if part.links:
            data["links"] = [run.as_json() for run in part.links]
        found.append(data)
    return found[0] if len(found) == 1 else {**found[0], "rates": found}


def default_cache() -> Path:
    """Where answers of baselines are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "secondlook/price"


def _draw(parts: list[Part], file: str | None) -> None:
    """One PNG for each rate: the rate goes into the name where there are several."""
    for part in parts:
        drawing = part.drawing()
        if file is None or drawing is None:
            continue
        path = Path(file)
        if len(parts) > 1:
            rate = f"{part.comparison.plan.analysis_fps:g}"
            path = path.with_name(f"{path.stem}-{rate}fps{path.suffix}")
        path.write_bytes(as_png(drawing))


def _budget(kb_per_s: float | None, cloud_per_s: float | None) -> BudgetSettings | None:
    if kb_per_s is None and cloud_per_s is None:
        return None
    return BudgetSettings(kb_per_s=kb_per_s, cloud_per_s=cloud_per_s)


def _check_writable(path: Path, option: str) -> None:
    """Find out now, not after minutes of computing."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidInput(
            f"{option} {path}: not a file in a folder that exists",
            remedy="create the folder first",
        )


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"--report {path}: {error.strerror}") from error
    return path
