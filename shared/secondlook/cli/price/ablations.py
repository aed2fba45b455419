"""Secondlook without one of its mechanisms each: named changes of settings.

A mechanism that this version does not have has no row: a row whose settings do not exist is left
out of what can be chosen (`available`), so that the table may run ahead of the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secondlook.cli.price.changes import has_setting


@dataclass(frozen=True, slots=True)
class Ablation:
    """Secondlook without something.

    Attributes:
        key: how it is chosen on the command line, after ``ours-``.
        title: how it is called in tables, at most 13 letters: they are for terminals.
        settings: what is changed: path in the pipeline's settings -> value.
        background: whether the cloud may compose regions on the camera's last whole frame.
    """

    key: str
    title: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    background: bool = True

    @property
    def available(self) -> bool:
        """Whether this version has the mechanism."""
        return all(has_setting(path) for path in self.settings)


ABLATIONS = (
    Ablation("no-model", "no risk model", {"gate.file": ""}),
    Ablation(
        "no-reuse",
        "no reuse",
        {
            "gate.ttl_s": 0.001,
            "gate.ttl_growth": 1.0,
            "gate.ttl_max_s": 0.001,
            "gate.again_factor": 1.0,
            "gate.again_s": 0.0,
        },
    ),
    Ablation(
        "no-misses",
        "no miss signs",
        {
            "misses.blob_loss": 0.0,
            "misses.coasting_loss": 0.0,
            "misses.prior_loss": 0.0,
            "misses.view_loss": 0.0,
        },
    ),
    Ablation("no-ride", "no ride-along", {"gate.ride_share": 1.0}),
    Ablation("no-canvas", "no canvas", {"regions.carrier": "mosaic"}),
    # A canvas is its own background.
    Ablation("no-background", "no background", {"regions.carrier": "mosaic"}, background=False),
)
"""Extend it here; nothing else needs to know."""
