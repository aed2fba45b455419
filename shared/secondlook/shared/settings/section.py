"""The base of every settings object."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of a settings file. Frozen; an unknown key is an error.

    A field has a type, bounds, its unit in its name, and one sentence as its description.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    def absent(self) -> list[str]:
        """What it names on disk, cannot do without, and does not find there; one line each."""
        return []
