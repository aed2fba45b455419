"""``secondlook price``."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import anyio.to_thread
import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from secondlook.cli.price.comparison import Captured
from secondlook.cli.price.models import load_model
from secondlook.cli.price.run import Comparison, Plan
from secondlook.cli.price.run import price as run_price
from secondlook.cli.price.table import sentence, tables_of
from secondlook.edge.pipeline_settings import GateSettings, PipelineSettings
from secondlook.shared.errors import InvalidInput
from secondlook.shared.telemetry import configure_logging

EDGE_MODEL, CLOUD_MODEL = "zoo:street_light", "zoo:street_heavy"


@click.command()
@click.argument("clip")
@click.option("--edge-model", default=EDGE_MODEL, show_default=True, help="ONNX file, or zoo:NAME.")
@click.option(
    "--cloud-model", default=CLOUD_MODEL, show_default=True, help="ONNX file, or zoo:NAME."
)
@click.option(
    "--analysis-fps",
    type=click.FloatRange(0.01, 240),
    default=5.0,
    show_default=True,
    help="Analysed frames a second of the clip's own time.",
)
@click.option(
    "--clip-fps",
    type=click.FloatRange(0, 240),
    default=0.0,
    help="Frames a second of a clip whose header lies; default: as its header says.",
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=1),
    help="Stop after so many analysed frames; the whole clip where not given.",
)
@click.option(
    "--classes",
    help="Class names that count, comma-separated; default: the street set "
    "(person, bicycle, car, motorcycle, bus, truck, bottle) as far as both models know it.",
)
@click.option("--json", "json_file", help="Write the numbers as JSON to this file; - for stdout.")
@click.option(
    "--jpeg-quality",
    type=click.IntRange(1, 100),
    default=85,
    show_default=True,
    help="Of the JPEG baseline.",
)
@click.option(
    "--crf",
    type=click.IntRange(0, 51),
    default=23,
    show_default=True,
    help="Of the H.264 baseline; x264 calls this constant rate factor.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the audit coin."
)
def price(
    clip: str,
    edge_model: str,
    cloud_model: str,
    analysis_fps: float,
    clip_fps: float,
    max_frames: int | None,
    classes: str | None,
    json_file: str | None,
    jpeg_quality: int,
    crf: int,
    seed: int,
) -> None:
    """What would it cost on my footage, and how much would agree?

    CLIP is a video file, a folder of images, or any other source of frames (sim://street?seed=3).
    No labels are needed: answers are held against what the cloud model sees in the untouched
    frames. Four systems are compared: the edge alone; every frame to the cloud as JPEG; the same
    as an H.264 stream; Secondlook. Everything really runs: frames are really encoded, sent over
    loopback gRPC, decoded and looked at; bytes are TCP payload as counted on the way (messages,
    HTTP/2 framing, retries), with connection set-up apart. KB is 1000 bytes.

    Read "a→b" as: said at once → when all verdicts were in. Times are measured on this machine,
    from capture to answer. A verdict that took L seconds helps only frames later than that.

    \b
    Examples:
      secondlook price clip.mp4 --edge-model yolox_nano.onnx --cloud-model yolov8s.onnx
      secondlook price clip.mp4 --analysis-fps 3 --max-frames 200 --json numbers.json
      secondlook price clip.mp4 --classes person,car --json -
      secondlook price 'sim://street?seed=11'
    """
    configure_logging("warning")
    # The table goes where it does not mix with JSON on standard output.
    console = Console(stderr=json_file == "-")
    plan = Plan(
        clip=clip,
        analysis_fps=analysis_fps,
        clip_fps=clip_fps,
        max_frames=max_frames,
        classes=None if classes is None else tuple(classes.split(",")),
        jpeg_quality=jpeg_quality,
        crf=crf,
        pipeline=PipelineSettings(gate=GateSettings(seed=seed)),
    )
    if json_file not in (None, "-"):
        _check_writable(Path(str(json_file)))
    comparison = anyio.run(_run, plan, edge_model, cloud_model)
    outcomes = comparison.outcomes()
    console.print(headline(comparison))
    for table in tables_of(outcomes):
        console.print(table)
    console.print(sentence(outcomes))
    if json_file is not None:
        text = json.dumps(comparison.as_json(outcomes), indent=2)
        if json_file == "-":
            click.echo(text)
        else:
            Path(json_file).write_text(text + "\n")


def headline(comparison: Comparison) -> str:
    """What was compared, in two lines."""
    standard, metric = comparison.standard, comparison.metric
    heavy, light = comparison.heavy, comparison.light
    return (
        f"{comparison.plan.clip}: {len(standard)} frames of {standard.width}x{standard.height}, "
        f"{comparison.plan.analysis_fps:g} a second, {standard.duration_s:.1f} s\n"
        f"edge {light.name} ({light.provider}), reference {heavy.name} ({heavy.provider}), "
        f"classes {', '.join(metric.classes or ())}"
    )


async def _run(plan: Plan, edge_model: str, cloud_model: str) -> Comparison:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task("loading the models", total=None)
        light = await anyio.to_thread.run_sync(load_model, edge_model, "--edge-model")
        heavy = await anyio.to_thread.run_sync(load_model, cloud_model, "--cloud-model")
        progress.update(task, description="comparing", total=plan.max_frames)

        def on_frame(done: int, captured: Captured) -> None:
            progress.update(task, completed=done)

        return await run_price(plan, light, heavy, on_frame=on_frame)


def _check_writable(path: Path) -> None:
    """Find out now, not after minutes of computing."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidInput(
            f"--json {path}: not a file in a folder that exists", remedy="create the folder first"
        )
