"""The rows of the dashboard of the cloud service, in the order in which they are shown."""

from __future__ import annotations

from panels import Panel

from rows import load, models, state, surroundings

ROWS: dict[str, list[Panel]] = {**load.ROWS, **models.ROWS, **state.ROWS, **surroundings.ROWS}
