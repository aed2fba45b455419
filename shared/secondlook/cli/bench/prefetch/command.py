"""``secondlook bench prefetch``."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from secondlook.cli.bench.prefetch.report import Compared, document_of, show
from secondlook.cli.bench.prefetch.simulate import Oracle, Server, simulate
from secondlook.cli.bench.prefetch.traces import PATTERNS, Trace, read_trace
from secondlook.cli.console import output_console
from secondlook.cloud.prefetch import LeastRecent, Prefetcher, Residency
from secondlook.shared.errors import InvalidInput

_LOAD_S = (2.0, 8.0)
_SIZES = (0.5, 1.0, 1.5)


@click.command()
@click.option(
    "--models", default=24, show_default=True, type=click.IntRange(3, 1000),
    help="Models of the synthetic traces.",
)  # fmt: skip
@click.option(
    "--room", default=8.0, show_default=True, type=click.FloatRange(2.0),
    help="Models of middling size that fit into memory.",
)  # fmt: skip
@click.option(
    "--hours", default=2.0, show_default=True, type=click.FloatRange(0.01, 240.0),
    help="Length of the synthetic traces, simulated.",
)  # fmt: skip
@click.option(
    "--trace", "traces", multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help='A recorded trace, JSON lines {"at_s": 12.5, "model": "name"}; may be repeated.',
)  # fmt: skip
@click.option("--only", multiple=True, metavar="NAME", help="Only this trace; may be repeated.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all traces.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def prefetch(
    models: int,
    room: float,
    hours: float,
    traces: tuple[Path, ...],
    only: tuple[str, ...],
    seed: int,
    json_file: Path | None,
) -> None:
    """Is it worth to load models before they are asked for?

    Traces of requests, synthetic or recorded (`prefetch.record` of the service's settings), are
    served by a simulated server whose memory holds a third of the models: with the least recently
    asked for evicted, with forecasts, and by an oracle that knows the trace. One model is loaded at
    a time, which takes 2 to 8 seconds. Learning begins with the first request, and is counted.

    \b
    Examples:
      secondlook bench prefetch
      secondlook bench prefetch --only periodic --only chains --hours 4
      secondlook bench prefetch --trace requests.jsonl --only requests --room 3 --json out.json
    """
    known = [pattern.name for pattern in PATTERNS] + [file.stem for file in traces]
    for name in only:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--only")
    chosen = [name for name in known if not only or name in only]
    found = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        for pattern in PATTERNS:
            if pattern.name in chosen:
                progress.update(task, description=pattern.name)
                found.append(compare(pattern.trace(seed, models, hours * 3600), room, seed))
                progress.advance(task)
        for file in traces:
            if file.stem in chosen:
                progress.update(task, description=file.stem)
                found.append(compare(read_trace(file), room, seed))
                progress.advance(task)
    if json_file is not None:
        json_file.write_text(json.dumps(document_of(found), indent=2) + "\n")
    show(found, output_console())


def compare(trace: Trace, room: float, seed: int) -> Compared:
    """One trace under every policy, on the same server.

    Raises:
        InvalidInput: nothing is asked for.
    """
    if not trace.requests:
        raise InvalidInput(f"trace {trace.name!r} has no requests")
    rng = np.random.default_rng((seed, 1))
    names = trace.models
    server = Server(
        room,
        {model: float(rng.choice(_SIZES)) for model in names},
        {model: float(rng.uniform(*_LOAD_S)) for model in names},
    )
    policies: dict[str, Residency] = {
        "lru": LeastRecent(),
        "forecast": Prefetcher(day_s=trace.day_s, seed=seed),
        "oracle": Oracle(trace),
    }
    return Compared(
        trace.name,
        trace.text,
        len(names),
        {name: simulate(trace, server, policy) for name, policy in policies.items()},
    )
