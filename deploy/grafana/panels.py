"""What a panel of the dashboard is, and what several of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HERE = 'instance=~"$instance"'
OF_MODEL = f'{HERE}, model=~"$model"'


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: PromQL by legend.
        unit: Grafana's name of the unit.
        about: one sentence.
        kind: Grafana's name of the kind.
        wide: columns it takes.
        extra: further options of the panel's fields.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    about: str = ""
    kind: str = "timeseries"
    wide: int = 8
    extra: dict[str, Any] = field(default_factory=dict)


def ratio(part: str, whole: str) -> str:
    """A part of a whole, where there is any."""
    return f"{part} / ({whole} > 0)"


STATES = {
    "mappings": [
        {
            "type": "value",
            "options": {
                "0": {"text": "closed", "color": "green", "index": 0},
                "1": {"text": "half open", "color": "yellow", "index": 1},
                "2": {"text": "open", "color": "red", "index": 2},
            },
        }
    ]
}
SHARE = {"min": 0, "max": 1}
