"""``secondlook doctor``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import click

from secondlook.cli.config.command import Tier, settings_class
from secondlook.cli.console import output_console
from secondlook.cli.doctor.chain import Check, run_chain
from secondlook.cli.doctor.machine import check_clock
from secondlook.cli.doctor.report import Results, as_json
from secondlook.cli.doctor.result import CheckResult, exit_code, failed, ok, skip
from secondlook.cli.doctor.software import software_checks
from secondlook.cli.doctor.threads import in_thread, left_behind
from secondlook.cli.doctor.visit import Visit
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import InvalidInput
from secondlook.shared.settings import Section, load
from secondlook.shared.telemetry import configure_logging

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--edge-config", type=_FILE, help="Settings of the edge daemon to check.")
@click.option("--cloud-config", type=_FILE, help="Settings of the cloud service to check.")
@click.option("--cloud", "target", help="HOST:PORT of a running cloud service to walk to.")
@click.option("--ca", type=_FILE, help="Speak TLS to --cloud, trusting this authority (PEM).")
@click.option("--model", default="", help="Model to ask --cloud for; default: the service's own.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 600),
    default=5.0,
    show_default=True,
    help="Longest wait at each hop, seconds.",
)
@click.option("--json", "as_document", is_flag=True, help="One JSON document, nothing else.")
def doctor(
    edge_config: Path | None,
    cloud_config: Path | None,
    target: str | None,
    ca: Path | None,
    model: str,
    timeout_s: float,
    as_document: bool,
) -> None:
    """Find what is wrong, hop by hop, and say what to do about it.

    Without options: this machine's libraries and clocks. With settings: its cameras, models,
    disks, Redis, and the way to the cloud.

    \b
    Exit codes: 0 all well; else that of the first failure: 1 something does not work,
    2 settings or a model are wrong, 3 a library is missing, 4 something cannot be reached.

    \b
    Examples:
      secondlook doctor
      secondlook doctor --edge-config edge.toml
      secondlook doctor --cloud cloud.example:50051 --ca ca.pem
      secondlook doctor --cloud-config cloud.toml --json | jq '.checks[] | select(.status=="fail")'
    """
    # gRPC's own log repeats on standard error what the checks say better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if ca is not None and target is None:
        raise click.UsageError("--ca belongs to --cloud")
    configure_logging("error")
    results = Results(None if as_document else output_console())
    extras = [name for name, path in (("edge", edge_config), ("cloud", cloud_config)) if path]
    if anyio.run(_look_at_this_machine, results, extras, timeout_s):
        visits = _visits(results, edge_config, cloud_config, target, ca, model, timeout_s)
        anyio.run(_walk, visits, results)
    else:
        results(skip("everything else", "not tried, because a library that all need is broken"))
    click.echo(as_json(results) if as_document else results.summary())
    code = exit_code(results)
    if left_behind():
        # What hangs may hang for ever; everything is said.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


async def _look_at_this_machine(results: Results, extras: list[str], timeout_s: float) -> bool:
    """Libraries and clocks; whether the other checks can be loaded at all."""
    usable = True
    for check, needed_by_all in software_checks(extras):
        passed = await run_chain([check], max(30.0, timeout_s), results)
        usable = usable and (passed or not needed_by_all)
    clock = Check("machine: clock", lambda name: check_clock(name, SystemClock()))
    await run_chain([clock], timeout_s, results)
    return usable


def _visits(
    results: Results,
    edge_config: Path | None,
    cloud_config: Path | None,
    target: str | None,
    ca: Path | None,
    model: str,
    timeout_s: float,
) -> list[Visit]:
    """What to look at; settings and addresses that are wrong are reported here."""
    visits: list[Visit] = []
    edge = edge_config and anyio.run(_settings, results, "edge", edge_config, timeout_s)
    cloud = cloud_config and anyio.run(_settings, results, "cloud", cloud_config, timeout_s)
    # Imported here: with a broken library of theirs, what comes before still works.
    from secondlook.cli.doctor.plan import cloud_visits, edge_visits, walk_to_cloud
    from secondlook.cloud.settings import CloudSettings
    from secondlook.edge.settings import EdgeSettings

    if isinstance(edge, EdgeSettings):
        visits += edge_visits(edge, timeout_s)
    if isinstance(cloud, CloudSettings):
        visits += cloud_visits(cloud, timeout_s)
    if target is not None:
        try:
            visits.append(walk_to_cloud(target, ca, model, timeout_s))
        except InvalidInput as error:
            results(failed("cloud: address", error))
    return visits


async def _walk(visits: Sequence[Visit], results: Results) -> None:
    for visit in visits:
        await visit.walk(results)


async def _settings(results: Results, tier: Tier, path: Path, timeout_s: float) -> Section | None:
    """The settings of a tier, reported on; ``None`` where they are wrong."""
    found: list[Section] = []

    async def read(name: str) -> CheckResult:
        found.append(await in_thread(lambda: load(settings_class(tier), tier, path, os.environ)))
        return ok(name, str(path))

    name = f"settings: {tier}"
    remedy = f"see `secondlook config check {tier} --config {path}`"
    await run_chain([Check(name, read, f"{path} cannot be read", remedy)], timeout_s, results)
    if not found:
        results(skip(f"{tier}: everything else", f"not tried, because {name} failed"))
    return found[0] if found else None
