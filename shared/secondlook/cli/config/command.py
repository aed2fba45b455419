"""``secondlook config show|check|schema``."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn

import click
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from secondlook.cli.config.effective import Entry, entries, nested
from secondlook.cli.config.toml import write_toml
from secondlook.cli.console import output_console
from secondlook.shared.settings import Layers, Section, load, problems_of, read_layers

Tier = Literal["edge", "cloud"]
TIERS: tuple[Tier, ...] = ("edge", "cloud")

EXIT_INVALID = 2
_OF_MEMORY = "SECONDLOOK_MEMORY"
"""Read by `secondlook memory`, not by a tier."""

# Their modules are imported when they are asked for: each tier can be installed without the other.
_CLASSES: dict[Tier, tuple[str, str]] = {
    "edge": ("secondlook.edge.settings", "EdgeSettings"),
    "cloud": ("secondlook.cloud.settings", "CloudSettings"),
}

_tier = click.argument("tier", type=click.Choice(TIERS))
_file = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="Settings file (TOML); without it, defaults and environment alone.",
)


def settings_class(tier: Tier) -> type[Section]:
    """The settings class of a tier."""
    module, name = _CLASSES[tier]
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type)
    assert issubclass(found, Section)
    return found


@click.group()
def config() -> None:
    """Show, check and describe the settings of a tier.

    A value comes from the environment (SECONDLOOK_EDGE__UPLINK__TARGET=...), else from the
    file, else from its default.

    \b
    Examples:
      secondlook config check edge --config edge.toml
      secondlook config show cloud --config cloud.toml --format toml
      secondlook config schema edge > edge.schema.json
    """


@config.command()
@_tier
@_file
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "toml"]),
    default="table",
    show_default=True,
    help="For people, for programs, or as a settings file.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--changed", is_flag=True, help="Leave out the defaults.")
def show(tier: Tier, path: Path | None, form: str, as_json: bool, changed: bool) -> None:
    """Print the settings that hold, and where each comes from. Passwords are masked.

    \b
    Examples:
      secondlook config show edge --config edge.toml
      secondlook config show edge --config edge.toml --changed
      secondlook config show cloud --json
    """
    settings, layers = _read(tier, path)
    found = [e for e in entries(settings, layers) if not changed or e.source != "default"]
    if as_json or form == "json":
        listed = {e.field: {"value": e.value, "source": e.source} for e in found}
        click.echo(json.dumps({"tier": tier, "settings": listed}, indent=2, ensure_ascii=False))
    elif form == "toml":
        click.echo(write_toml(nested(settings), {e.field: e.source for e in found}), nl=False)
    else:
        _print_table(found)


@config.command()
@_tier
@_file
def check(tier: Tier, path: Path | None) -> None:
    """Check the settings; exit code 0 if they hold, 2 with one line a problem if not.

    Directories of models that are not there are a problem as well.

    \b
    Examples:
      secondlook config check edge --config edge.toml
      secondlook config check cloud
    """
    layers = read_layers(tier, path, os.environ)
    model = settings_class(tier)
    for warning in _strangers():
        click.echo(f"warning: {warning}", err=True)
    where = path or f"the {tier} settings"
    try:
        settings = model.model_validate(layers.merged())
    except ValidationError as error:
        _refuse(where, problems_of(error, model))
    if absent := settings.absent():
        _refuse(where, absent)
    counts = Counter(entry.source for entry in entries(settings, layers))
    click.echo(
        f"ok: {path or f'{tier} settings'}: {counts['file']} from the file, "
        f"{counts['environment']} from the environment, {counts['default']} defaults"
    )


@config.command()
@_tier
def schema(tier: Tier) -> None:
    """Print the JSON Schema of the settings, for editors and other programs.

    \b
    Examples:
      secondlook config schema edge > edge.schema.json
      secondlook config schema cloud | jq '.properties | keys'
    """
    described = settings_class(tier).model_json_schema()
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _refuse(where: Path | str, problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    click.echo(f"{where}: {count}", err=True)
    sys.exit(EXIT_INVALID)


def _read(tier: Tier, path: Path | None) -> tuple[Section, Layers]:
    settings = load(settings_class(tier), tier, path, os.environ)
    return settings, read_layers(tier, path, os.environ)


def _strangers() -> list[str]:
    """Variables that look like settings and that neither tier reads."""
    prefixes = [f"SECONDLOOK_{tier.upper()}__" for tier in TIERS]
    found = []
    for name in sorted(os.environ):
        if not name.startswith("SECONDLOOK_") or name.startswith((*prefixes, _OF_MEMORY)):
            continue
        head = name.split("__")[0] + "__"
        close = difflib.get_close_matches(head, prefixes, n=1)
        if close:
            hint = f"did you mean {close[0]}{name[len(head) :]}?"
            found.append(f"variable {name} is read by no tier; {hint}")
    return found


def _print_table(found: list[Entry]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("source", no_wrap=True)
    table.add_column("what it is", style="dim", overflow="fold")
    styles = {"default": "dim", "file": "green", "environment": "yellow"}
    for entry in found:
        value = "-" if entry.value is None else json.dumps(entry.value, ensure_ascii=False)
        source = f"[{styles[entry.source]}]{entry.source}[/]"
        table.add_row(escape(entry.field), escape(value), source, escape(entry.description))
    output_console().print(table)
