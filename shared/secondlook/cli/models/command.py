"""``secondlook models``: the group."""

from __future__ import annotations

import click

from secondlook.cli.lazy import LazyGroup

_COMMANDS = {
    "check": ("secondlook.cli.models.listing:check", "Check a repository before it is served."),
    "list": ("secondlook.cli.models.listing:list_models", "What would be served, and what not."),
    "quantize": ("secondlook.cli.models.quantize:quantize", "Make a variant in int8 or fp16."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
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
