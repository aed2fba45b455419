"""``secondlook bench serve``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from rich.console import Console

QUICK_SECONDS = 0.4
QUICK_ROUNDS = 3


@click.command()
@click.option(
    "--model", default="zoo:street_heavy", show_default=True, help="Detector: ONNX, or zoo:NAME."
)
@click.option(
    "--clip", default="sim://street?size=640x360&seed=7", show_default=True,
    help="Its first frame is asked about; or a JPEG.",
)  # fmt: skip
@click.option("--callers", default="1,8,32", show_default=True, help="At once, in turn.")
@click.option(
    "--seconds", default=2.0, show_default=True, type=click.FloatRange(0.05), help="Of each turn."
)
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1), help="Turns of each server."
)
@click.option("--quick", is_flag=True, help="Short turns, three rounds: a look, no measurement.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def serve(
    model: str,
    clip: str,
    callers: str,
    seconds: float,
    rounds: int,
    quick: bool,
    json_file: Path | None,
) -> None:
    """Measure the cloud service against a bare gRPC server over the same models.

    Both are processes of their own and speak the Open Inference Protocol: a tiny model, 60 kB of
    bytes, and the real job, a JPEG in and boxes out. The real job is also done by a loop that
    serves nobody; streams are measured against single calls, two processes on one port against
    one, asked by h2load where Debian's package nghttp2-client is installed. All take turns.
    Processor time for a request is the number to trust on a busy machine.

    \b
    Examples:
      secondlook bench serve --quick
      secondlook bench serve --model yolox_nano.onnx --clip highway.avi --json serve.json
    """
    try:
        counts = tuple(int(word) for word in callers.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter(
            "numbers of callers are expected, such as 1,8,32", param_hint="--callers"
        )
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Imported here, so that `--help` needs no gRPC.
    from secondlook.cli.bench.serve.report import document_of, show
    from secondlook.cli.bench.serve.run import Plan, measure
    from secondlook.shared.telemetry import configure_logging

    configure_logging("warning")
    if quick:
        seconds, rounds = min(seconds, QUICK_SECONDS), min(rounds, QUICK_ROUNDS)
    console = Console()
    progress = Console(stderr=True)
    found = measure(
        Plan(model, clip, counts, seconds, rounds), lambda what: progress.print(what, style="dim")
    )
    if json_file is not None:
        json_file.write_text(json.dumps(document_of(found), indent=2) + "\n")
    show(found, console)
