"""``secondlook models``: the group."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "check": ("secondlook.cli.models.listing:check", "Check a repository before it is served."),
    "list": ("secondlook.cli.models.listing:list_models", "What would be served, and what not."),
    "quantize": ("secondlook.cli.models.quantize:quantize", "Make a variant in int8 or fp16."),
}


class _LazyGroup(click.Group):
    """Imports a subcommand when it is run: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module_name, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module_name), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in sorted(_COMMANDS)])


@click.group(cls=_LazyGroup)
def models() -> None:
    """Look into model repositories.

    A repository holds NAME/VERSION/model.onnx (or .pt2, .pt), and for each model a config.pbtxt
    where the file alone does not say enough.

    \b
    Examples:
      secondlook models list models/
      secondlook models check models/ && rsync -a models/ server:models/
      secondlook models check models/yolo --json
      secondlook models quantize models/yolo/1/model.onnx --images footage.mp4
    """
