"""Options of the command that go through to the settings of the pipeline or of the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secondlook.cli.price.changes import changed, has_setting, parsed
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput

PLACES = {
    "--gate": ("gate.file",),
    "--tau": ("gate.threshold",),
    "--carrier": ("regions.carrier",),
    "--seed": ("trust.seed", "gate.seed"),
}
"""Option -> where in the pipeline's settings its value may go; the first that exists."""


def place_of(option: str) -> str | None:
    """Where the value of an option goes; ``None`` where this version has no setting for it."""
    return next((path for path in PLACES[option] if has_setting(path)), None)


def with_options(
    settings: PipelineSettings, options: dict[str, Any], more: Sequence[str]
) -> PipelineSettings:
    """Settings with what the user asked for.

    Args:
        settings: to begin with.
        options: option -> value, as far as given.
        more: ``SECTION.NAME=VALUE`` each.

    Raises:
        InvalidInput: this version has no such setting, or a value is out of range.
    """
    changes: dict[str, Any] = {}
    for option, value in options.items():
        place = place_of(option)
        if place is None:
            raise InvalidInput(
                f"{option}: the pipeline of this version has no setting for it",
                remedy="leave the option out",
            )
        changes[place] = value
    changes.update(parsed(text) for text in more)
    return changed(settings, changes)
