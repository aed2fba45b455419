"""``secondlook models list|check``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from secondlook.cli.console import output_console
from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.repository.findings import Finding, Severity
from secondlook.cloud.repository.layout import list_folder
from secondlook.cloud.repository.repository import ModelRepository
from secondlook.cloud.repository.snapshot import Snapshot

EXIT_INVALID = 2

_paths = click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
_as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command("list")
@_paths
@_as_json
def list_models(paths: tuple[Path, ...], as_json: bool) -> None:
    """Print what would be served from PATH, what not, and why.

    PATH is a model repository, or the directory of one model in it; several are taken as
    repository.paths would take them. Nothing is changed, and nothing is served.

    \b
    Examples:
      secondlook models list models/
      secondlook models list models/ /srv/more-models
      secondlook models list models/yolo
      secondlook models list models/ --json | jq '.models[].name'
    """
    snapshot = _look(paths)
    if as_json:
        click.echo(_to_json(snapshot))
        return
    if snapshot.offers:
        _print_table(snapshot)
    _print_findings(snapshot.findings)
    click.echo(f"{_counted(snapshot)}", err=True)


@click.command()
@_paths
@_as_json
def check(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check what lies in PATH; exit code 0 if all of it can be served, 2 if not.

    Every configuration is read, every file that would be served is hashed, compared with
    SHA256SUMS where there is one, opened, and compared with its configuration. What is merely
    passed over is told as a note, and does not fail the check.

    \b
    Examples:
      secondlook models check models/
      secondlook models check models/yolo
      secondlook models check models/ --json | jq '.findings[] | select(.severity == "error")'
    """
    snapshot = _look(paths)
    if as_json:
        click.echo(_to_json(snapshot))
    else:
        _print_findings(snapshot.findings)
    errors = sum(finding.severity is Severity.ERROR for finding in snapshot.findings)
    if errors:
        problems = "1 problem" if errors == 1 else f"{errors} problems"
        click.echo(f"{_shown(paths)}: {problems}; {_counted(snapshot)}", err=True)
        sys.exit(EXIT_INVALID)
    if not as_json:
        click.echo(f"ok: {_shown(paths)}: {_counted(snapshot)}")


def _look(paths: Sequence[Path]) -> Snapshot:
    roots: list[Path] = []
    wanted: set[str] = set()
    for path in paths:
        # Of `.` and `models/..` the real name counts.
        folder = list_folder(path.resolve())
        alone = bool(folder.configs or folder.versions)
        roots.append(folder.path.parent if alone else path)
        wanted |= {folder.name} if alone else set()
    alone_only = len(wanted) == len(paths)
    snapshot = ModelRepository(tuple(dict.fromkeys(roots)), tell=lambda _: None).scan()
    if not alone_only:
        return snapshot
    offers = {name: offer for name, offer in snapshot.offers.items() if name in wanted}
    return Snapshot(offers, tuple(f for f in snapshot.findings if f.model in wanted))


def _shown(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def _counted(snapshot: Snapshot) -> str:
    models = len(snapshot.offers)
    releases = sum(len(offer.releases) for offer in snapshot.offers.values())
    return (
        f"{models} model{'s' * (models != 1)}, {releases} release{'s' * (releases != 1)} "
        "would be served"
    )


def _print_table(snapshot: Snapshot) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("model", "version", "variant", "backend"):
        table.add_column(name, no_wrap=True)
    table.add_column("batch", justify="right", no_wrap=True)
    table.add_column("inputs", overflow="fold")
    table.add_column("outputs", overflow="fold")
    table.add_column("sha256", no_wrap=True, style="dim")
    table.add_column("config", no_wrap=True, style="dim")
    for offer in snapshot.offers.values():
        for release in offer.releases:
            config = release.config
            table.add_row(
                escape(offer.name),
                escape(release.version) + _share(config, release),
                escape(release.variant),
                config.backend,
                str(config.max_batch) if config.max_batch else "-",
                escape(_specs(config.inputs)),
                escape(_specs(config.outputs)),
                release.digest[:12] or "-",
                "derived" if config.derived else "file",
            )
    output_console().print(table)


def _share(config: ModelConfig, release: Release) -> str:
    total = sum(config.shares.values())
    share = config.shares.get(release.version)
    return "" if share is None or not total else f" ({share / total:.0%})"


def _specs(specs: Sequence[TensorSpec]) -> str:
    shown = (f"{s.name} {s.dtype} {','.join(map(str, s.shape)) or '-'}" for s in specs)
    return "; ".join(shown) or "-"


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        whose = f"{finding.model} {finding.version}".strip()
        said = f"{finding.severity.value}: {whose}{': ' if whose else ''}{finding}"
        click.echo(said, err=True)


def _to_json(snapshot: Snapshot) -> str:
    document = {
        "models": [
            {"name": offer.name, "releases": [_release(release) for release in offer.releases]}
            for offer in snapshot.offers.values()
        ],
        "findings": [_finding(finding) for finding in snapshot.findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _release(release: Release) -> dict[str, Any]:
    config = release.config
    return {
        "version": release.version,
        "variant": release.variant,
        "file": str(release.file),
        "sha256": release.digest,
        "backend": config.backend,
        "max_batch": config.max_batch,
        "inputs": [_tensor(spec) for spec in config.inputs],
        "outputs": [_tensor(spec) for spec in config.outputs],
        "share": config.shares.get(release.version),
        "derived": config.derived,
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "model": finding.model,
        "version": finding.version,
        "file": None if finding.file is None else str(finding.file),
        "line": finding.line,
        "field": finding.field,
        "reason": finding.reason,
    }
