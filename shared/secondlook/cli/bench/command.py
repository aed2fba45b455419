"""``secondlook bench``: the group of benchmarks."""

from __future__ import annotations

import click

from secondlook.cli.bench.edge import edge
from secondlook.cli.bench.links.command import links
from secondlook.cli.bench.memory.command import memory
from secondlook.cli.bench.prefetch.command import prefetch
from secondlook.cli.bench.serve.command import serve
from secondlook.cli.bench.trust.command import trust


@click.group()
def bench() -> None:
    """Measure against a baseline of the same run.

    \b
    Examples:
      secondlook bench edge
      secondlook bench edge clip.mp4 --model yolox_nano.onnx --json bench.json
      secondlook bench links --preset outage
      secondlook bench memory --records 1000000
      secondlook bench prefetch
      secondlook bench serve --quick
      secondlook bench trust
    """


bench.add_command(edge)
bench.add_command(links)
bench.add_command(memory)
bench.add_command(prefetch)
bench.add_command(serve)
bench.add_command(trust)
