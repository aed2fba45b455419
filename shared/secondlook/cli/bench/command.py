"""``secondlook bench``: the group of benchmarks."""

from __future__ import annotations

import click

from secondlook.cli.bench.edge import edge


@click.group()
def bench() -> None:
    """Measure against a baseline of the same run.

    \b
    Examples:
      secondlook bench edge
      secondlook bench edge clip.mp4 --model yolox_nano.onnx --json bench.json
    """


bench.add_command(edge)
