"""``secondlook bench links``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from secondlook.cli.console import output_console

PRESETS = ("5g", "4g", "lossy", "outage")


@click.command()
@click.option(
    "--preset", "presets", multiple=True, type=click.Choice(PRESETS),
    help="Link; may be repeated. Default: all of them, one after the other.",
)  # fmt: skip
@click.option(
    "--seconds", default=150.0, show_default=True, type=click.FloatRange(5),
    help="Of each run. The outage takes 60 of them.",
)  # fmt: skip
@click.option(
    "--cameras", default=8, show_default=True, type=click.IntRange(1, 64),
    help="How many simulated streets, and a folder of still pictures.",
)  # fmt: skip
@click.option(
    "--camera", "own", multiple=True, metavar="ID=URL",
    help="A camera of your own besides: a clip, which is looped, or whatever the edge takes.",
)  # fmt: skip
@click.option(
    "--fps", default=2.0, show_default=True, type=click.FloatRange(0.1, 60),
    help="Analysed frames a second of each camera.",
)  # fmt: skip
@click.option(
    "--budget", default=20.0, show_default=True, type=click.FloatRange(0),
    help="Of all cameras together, KB (1000 bytes) a second.",
)  # fmt: skip
@click.option("--audit-rate", default=0.02, show_default=True, type=click.FloatRange(0, 1))
@click.option(
    "--promise", is_flag=True,
    help="Enforce the promised miss rate: where the budget is too small, SLO_INFEASIBLE is told.",
)  # fmt: skip
@click.option(
    "--carrier", default="auto", show_default=True,
    type=click.Choice(("auto", "canvas", "mosaic")), help="How regions travel.",
)  # fmt: skip
@click.option("--edge-model", default="zoo:street_light", show_default=True)
@click.option("--cloud-model", default="zoo:street_heavy", show_default=True)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all luck.")
@click.option(
    "--truth-frames", default=40, show_default=True, type=click.IntRange(0),
    help="Frames of each simulated street that are compared with the truth afterwards.",
)  # fmt: skip
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps settings, logs and what the edge remembers.",
)  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
def links(
    presets: tuple[str, ...],
    seconds: float,
    cameras: int,
    own: tuple[str, ...],
    fps: float,
    budget: float,
    audit_rate: float,
    promise: bool,
    carrier: str,
    edge_model: str,
    cloud_model: str,
    seed: int,
    truth_frames: int,
    keep: Path | None,
    json_file: Path | None,
) -> None:
    """Do budget and answers hold over real links, for minutes?

    The edge daemon and the cloud service run as they would at a site, each a process of its own;
    between them lies an emulated link that counts every byte. Told are: the most that went up
    within any 60 s against what the bucket allows, which camera got what part of the budget and
    why, and of an outage whether every frame was answered and nothing was lost. Exit code 1 where
    something does not hold.

    \b
    Examples:
      secondlook bench links
      secondlook bench links --preset outage --cameras 3 --budget 12 --audit-rate 0.1
      secondlook bench links --preset 4g --seconds 300 --camera road=highway.avi --json links.json
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Imported here, so that `--help` needs no gRPC.
    from secondlook.cli.bench.links.document import document_of
    from secondlook.cli.bench.links.outcome import LinkOutcome, outcome_of
    from secondlook.cli.bench.links.plan import Plan, given, link_for, scenes
    from secondlook.cli.bench.links.report import show
    from secondlook.cli.bench.links.run import play
    from secondlook.cli.bench.links.truth import quality
    from secondlook.shared.telemetry import configure_logging

    configure_logging("error")
    results: list[LinkOutcome] = []
    with TemporaryDirectory(prefix="sl-links-") as temporary, _progress() as progress:
        folder = keep or Path(temporary)
        chosen = (*scenes(cameras, fps, folder / "pictures"), *given(own))
        for name in presets or PRESETS:
            plan = Plan(
                link_for(name, seconds),
                seconds,
                chosen,
                fps,
                budget,
                audit_rate=audit_rate,
                promise=promise,
                carrier=carrier,
                edge_model=edge_model,
                cloud_model=cloud_model,
                seed=seed,
            )
            scratch = folder / name
            scratch.mkdir(parents=True, exist_ok=True)
            bar = progress.add_task(name, total=seconds, said="starting")

            def told(passed_s: float, said: str, bar: object = bar) -> None:
                progress.update(bar, completed=passed_s, said=said)  # type: ignore[arg-type]

            recorded = anyio.run(play, plan, scratch, told)
            progress.update(bar, completed=seconds, said="comparing with the truth")
            heard = recorded.heard.cameras
            found = [quality(one, heard[one.name], truth_frames) for one in plan.cameras]
            results.append(outcome_of(recorded, found))
            progress.update(bar, said="done")
    if json_file is not None:
        said = [document_of(result) for result in results]
        json_file.write_text(json.dumps({"runs": said}, indent=2) + "\n")
    console = output_console()
    for result in results:
        show(result, console)
    if any(result.broken for result in results):
        raise click.exceptions.Exit(1)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
        console=Console(stderr=True),
        transient=True,
    )
