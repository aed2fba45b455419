"""``secondlook bench edge``: what the edge loop costs beyond decoding and the network itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from secondlook.cli.bench.edge_loop import STAGES, EdgeBench, measure


@click.command()
@click.argument("clip", default="sim://street?size=640x360&seed=7")
@click.option(
    "--model", default="zoo:street_light", show_default=True, help="ONNX file or zoo:NAME."
)
@click.option("--frames", default=120, show_default=True, type=click.IntRange(2), help="Measured.")
@click.option(
    "--warm-up", default=10, show_default=True, type=click.IntRange(0), help="Not measured."
)
@click.option("--analysis-fps", default=10.0, show_default=True, type=click.FloatRange(0))
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(0), help="0: all cores."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def edge(
    clip: str,
    model: str,
    frames: int,
    warm_up: int,
    analysis_fps: float,
    threads: int,
    json_file: Path | None,
) -> None:
    """Run CLIP through the edge loop and tell where each frame's time goes.

    The baseline is decoding and the bare run of the network, in the same run on the same frames.
    Verdicts are made up from the edge's own boxes, so that fusion has work; no cloud is needed.

    \b
    Examples:
      secondlook bench edge
      secondlook bench edge clip.mp4 --model yolox_nano.onnx --frames 300 --json bench.json
    """
    found = measure(clip, model, frames, warm_up, analysis_fps, threads)
    if json_file is not None:
        json_file.write_text(json.dumps(found.document(), indent=2) + "\n")
    _print(found)


def _print(found: EdgeBench) -> None:
    table = Table(title=f"{found.frames} frames of {found.width}x{found.height}, {found.model}")
    for name, right in (("stage", False), ("mean ms", True), ("p95 ms", True), ("share", True)):
        table.add_column(name, justify="right" if right else "left")
    whole = found.mean_ms("whole")
    for stage in (*STAGES, "whole"):
        mean = found.mean_ms(stage)
        table.add_row(
            stage, f"{mean:.3f}", f"{found.p95_ms(stage):.3f}", f"{100 * mean / whole:.1f} %"
        )
    console = Console()
    console.print(table)
    console.print(
        f"whole / (decode + network) = {found.ratio:.3f}; without encoding, on the "
        f"{100 * found.asked_share:.0f} % of frames that ask, {found.ratio_without_encode:.3f}"
    )
    if math.isnan(found.deciding_share):
        console.print("tracker and gate: each frame asked")
    else:
        console.print(
            "tracker and gate / network = "
            f"{100 * found.deciding_share:.1f} % on the frames that ask nothing"
        )
    console.print(
        f"bytes copied per frame: {found.copied_bytes:,.0f}, "
        f"{found.copied_bytes / (3 * found.width * found.height):.2f} times the frame"
    )
