"""Options of the command that go through to the settings of the pipeline or of the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secondlook.cli.price.changes import changed, parsed
from secondlook.edge.pipeline_settings import PipelineSettings

PLACES = {
    "--gate": "gate.file",
    "--tau": "gate.threshold",
    "--carrier": "regions.carrier",
    "--seed": "trust.seed",
}
"""Option -> where in the pipeline's settings its value goes."""


def with_options(
    settings: PipelineSettings, options: dict[str, Any], more: Sequence[str]
) -> PipelineSettings:
    """Settings with what the user asked for.

    Args:
        settings: to begin with.
        options: option -> value, as far as given.
        more: ``SECTION.NAME=VALUE`` each.

    Raises:
        InvalidInput: there is no such setting, or a value is out of range.
    """
    changes = {PLACES[option]: value for option, value in options.items()}
    changes.update(parsed(text) for text in more)
    return changed(settings, changes)
