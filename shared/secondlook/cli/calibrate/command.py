"""``secondlook calibrate``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import anyio
import click
from rich.console import Console

from secondlook.cli.calibrate.job import Calibration
from secondlook.cli.calibrate.report import show
from secondlook.cli.calibrate.run import calibrate
from secondlook.cli.price.command import CLOUD_MODEL, EDGE_MODEL, default_cache
from secondlook.cli.price.options import numbers_in
from secondlook.cli.price.passed import with_options
from secondlook.cli.price.plan import TAUS
from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.gate.gate_file import save_gate
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput
from secondlook.shared.telemetry import configure_logging

_PAGE_COLUMNS = 110


@click.command("calibrate")
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...")
@click.option("--edge-model", default=EDGE_MODEL, show_default=True, help="ONNX, or zoo:NAME.")
@click.option(
    "--cloud-model", default=CLOUD_MODEL, show_default=True, help="ONNX file, or zoo:NAME."
)
@click.option("--out", default="gate.json", show_default=True, help="The gate file to write.")
@click.option(
    "--holdout",
    multiple=True,
    metavar="CLIP",
    help="Footage that is only measured on, never trained on; may be repeated.",
)
@click.option(
    "--same-cameras",
    is_flag=True,
    help="The gate is for the cameras of these clips and no other: it need not carry over.",
)
@click.option(
    "--analysis-fps",
    type=click.FloatRange(0.01, 240),
    default=5.0,
    show_default=True,
    help="Analysed frames a second of a clip's own time: those of the cameras.",
)
@click.option(
    "--clip-fps",
    type=click.FloatRange(0, 240),
    default=0.0,
    help="Frames a second of clips whose header lies; default: as it says.",
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Most analysed frames of each clip.",
)
@click.option("--classes", help="Class names that count, comma-separated; default: as in price.")
@click.option(
    "--budget-kb-per-frame",
    type=click.FloatRange(min=0, min_open=True),
    help="Choose the most accurate threshold that takes no more.",
)
@click.option(
    "--accuracy",
    type=click.FloatRange(0, 1, min_open=True),
    help="Choose the cheapest threshold that reaches this F1.",
)
@click.option("--no-promise", is_flag=True, help="Train only; measure nothing with the cloud.")
@click.option(
    "--thresholds",
    default=",".join(f"{tau:g}" for tau in TAUS),
    show_default=True,
    help="Of the gate, at which the promise is measured.",
)
@click.option(
    "--promise-frames",
    type=click.IntRange(min=2),
    default=150,
    show_default=True,
    help="Most frames of each clip on which it is measured.",
)
@click.option(
    "--carrier", type=click.Choice(["auto", "canvas", "mosaic"]), help="How regions travel."
)
@click.option(
    "--verdict-latency",
    type=click.FloatRange(0, 3600),
    default=0.25,
    show_default=True,
    help="Seconds from a frame to its verdict.",
)
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="SECTION.NAME=VALUE",
    help="Any other setting of the edge's pipeline that will run; may be repeated.",
)
@click.option("--note", default="", help="Free text for the file.")
@click.option("--json", "as_json", is_flag=True, help="The file's content on standard output.")
@click.option("--cache", "cache_dir", help="Folder for what the models said; shared with price.")
@click.option("--no-cache", is_flag=True, help="Keep nothing, and take nothing that was kept.")
def command(
    clips: tuple[str, ...],
    edge_model: str,
    cloud_model: str,
    out: str,
    holdout: tuple[str, ...],
    same_cameras: bool,
    analysis_fps: float,
    clip_fps: float,
    max_frames: int,
    classes: str | None,
    budget_kb_per_frame: float | None,
    accuracy: float | None,
    no_promise: bool,
    thresholds: str,
    promise_frames: int,
    carrier: str | None,
    verdict_latency: float,
    more: tuple[str, ...],
    note: str,
    as_json: bool,
    cache_dir: str | None,
    no_cache: bool,
) -> None:
    """Train a gate on footage of one's own, without labels, and say what it promises.

    Both models look at every analysed frame; where they differ is what the gate learns from. Each
    part of it is trained only as far as it carries over to clips left out: give clips of several
    cameras. Then pipeline, encoder and cloud model really run on a stretch of each clip, at several
    thresholds, with a model that has not seen that clip.

    \b
    Examples:
      secondlook calibrate north.mp4 south.mp4 gate.mp4 --out gate.json --accuracy 0.97
      secondlook calibrate a.mp4 b.mp4 --holdout c.mp4 --budget-kb-per-frame 0.5
      secondlook calibrate door.mp4 --same-cameras --analysis-fps 10 --json
    """
    configure_logging("warning")
    if budget_kb_per_frame is not None and accuracy is not None:
        raise InvalidInput("--budget-kb-per-frame and --accuracy: give one of them")
    if no_promise and (budget_kb_per_frame is not None or accuracy is not None):
        raise InvalidInput("--no-promise: without measuring, no budget and no accuracy can be kept")
    path = Path(out)
    check_clips((*clips, *holdout))
    check_out(path)
    taus = tuple(sorted(numbers_in(thresholds, "--thresholds", 1e-6, 1)))
    job = Calibration(
        clips=clips,
        holdout=holdout,
        same_cameras=same_cameras,
        edge_model=edge_model,
        cloud_model=cloud_model,
        analysis_fps=analysis_fps,
        clip_fps=clip_fps,
        max_frames=max_frames,
        classes=None if classes is None else tuple(classes.split(",")),
        pipeline=with_options(
            PipelineSettings(), {} if carrier is None else {"--carrier": carrier}, more
        ),
        thresholds=() if no_promise else taus,
        promise_frames=promise_frames,
        verdict_latency_s=verdict_latency,
        budget_kb_per_frame=budget_kb_per_frame,
        accuracy=accuracy,
        cache=None if no_cache else Path(cache_dir) if cache_dir else default_cache(),
        note=note,
    )
    gate = anyio.run(calibrate, job)
    save_gate(gate, path)
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = _PAGE_COLUMNS
    show(gate, console, path)
    if as_json:
        click.echo(gate.text(), nl=False)


def check_clips(clips: tuple[str, ...]) -> None:
    """Find out now, not after the first clip has been watched.

    Raises:
        InvalidInput: one is given twice, or is no source, or there is no such file.
    """
    for clip in clips:
        if clips.count(clip) > 1:
            raise InvalidInput(
                f"{clip} is given twice",
                remedy="a clip weighs the same however often it is given; name each once",
            )
        SourceAddress.parse(clip)
        path = Path(clip)
        if "://" not in clip and not path.exists():
            raise InvalidInput(f"{clip} does not exist")
        if path.is_file() and not path.stat().st_size:
            raise InvalidInput(f"{clip} is empty")


def check_out(path: Path) -> None:
    """Find out now, not after minutes of computing.

    Raises:
        InvalidInput: the file cannot be written.
    """
    if path.is_dir():
        raise InvalidInput(f"--out {path}: a folder; a file is expected")
    try:
        handle, probe = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InvalidInput(
            f"--out {path}: {error.strerror}", remedy="name a file in a folder that can be written"
        ) from None
    os.close(handle)
    Path(probe).unlink()
