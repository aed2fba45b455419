"""``secondlook models quantize``."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import click

from secondlook.shared.errors import InvalidInput, InvalidModel
from secondlook.shared.telemetry import configure_logging
from secondlook.shared.zoo import model_file


@click.command("quantize")
@click.argument("model", metavar="MODEL.onnx")
@click.option(
    "--images",
    required=True,
    multiple=True,
    metavar="DIR|CLIP",
    help="Pictures of what the model will see: a folder of images or a clip; may be repeated.",
)
@click.option(
    "--to",
    type=click.Choice(["int8", "fp16"]),
    default="int8",
    show_default=True,
    help="The precision.",
)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="The variant's file, beside the model; default: MODEL.int8.onnx.",
)
@click.option(
    "--min-f1",
    type=click.FloatRange(0, 1),
    default=0.95,
    show_default=True,
    help="Least agreement with the model, as F1 of its boxes; below it nothing is written.",
)
@click.option(
    "--score",
    type=click.FloatRange(0.01, 0.99),
    default=0.3,
    show_default=True,
    help="Boxes below are not compared.",
)
@click.option(
    "--fps",
    type=click.FloatRange(0.01, 240),
    default=1.0,
    show_default=True,
    help="Pictures a second of a clip's own time; of a folder every image is taken.",
)
@click.option(
    "--count",
    type=click.IntRange(2, 10_000),
    default=100,
    show_default=True,
    help="Most pictures of each source; half are calibrated on, half measured on.",
)
@click.option(
    "--providers",
    default="cpu",
    show_default=True,
    help="Execution providers that run both, to try in order, with commas between.",
)
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    help="Threads of each network; default: one per core.",
)
@click.option("--json", "as_json", is_flag=True, help="The record on standard output.")
def quantize(
    model: str,
    images: tuple[str, ...],
    to: str,
    out: str | None,
    min_f1: float,
    score: float,
    fps: float,
    count: int,
    providers: str,
    threads: int,
    as_json: bool,
) -> None:
    """Make a variant of a detector in int8 or fp16, and measure it.

    ONNX Runtime's own tools make it. Then it and the model look at pictures that it was not
    calibrated on; only if their boxes agree is it written, with quantization.json beside it. The
    service loads no variant without that record.

    \b
    Examples:
      secondlook models quantize models/yolo/1/model.onnx --images footage.mp4
      secondlook models quantize model.onnx --images day.mp4 --images night.mp4 --fps 0.5
      secondlook models quantize model.onnx --images frames/ --to fp16 --min-f1 0.99 --json
    """
    configure_logging("warning")
    from secondlook.cli.models.variant import Order, make_variant

    file = model_file(model)
    target = Path(out) if out else file.with_name(f"{file.stem}.{to}{file.suffix}")
    if target.resolve().parent != file.resolve().parent:
        raise InvalidInput(
            f"--out {target}: a variant lies beside its model, in {file.resolve().parent}",
            remedy="copy the model to where the variant shall be, and give that copy",
        )
    if target.resolve() == file.resolve():
        raise InvalidInput(f"--out {target} is the model itself")
    order = Order(
        model=file,
        to=to,
        out=target,
        images=images,
        fps=fps,
        count=count,
        min_f1=min_f1,
        score=score,
        providers=tuple(word.strip() for word in providers.split(",") if word.strip()),
        threads=threads,
    )
    made = anyio.run(make_variant, order)
    said = made.measured
    size = f"{target.stat().st_size / 1e6:.1f} MB" if made.accepted else "nothing written"
    found = made.agreement.counts
    numbers = (
        f"F1 {said.f1:.4f} on {said.images} pictures with {said.boxes} boxes "
        f"({found.false_negatives} missed, {found.false_positives} more), "
        f"{said.speed:.2f} times as fast on {said.provider}, {said.left_out} nodes left alone"
    )
    if as_json:
        click.echo(json.dumps(said.model_dump(mode="json") | {"accepted": made.accepted}))
    if not made.accepted:
        raise InvalidModel(
            f"{file} in {to}: {numbers}; at least F1 {min_f1:g} is asked for, {size}",
            remedy="give pictures that are more like what it will see, or more of them",
        )
    if not as_json:
        click.echo(f"{target} ({size}): {numbers}")
    if said.speed < 1:
        click.echo(f"note: on {said.provider} here it is slower than the model", err=True)
