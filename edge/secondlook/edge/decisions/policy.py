"""The settings that decide what is asked: in the header of each file, and what a replay changes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from secondlook.edge.control.settings import BudgetSettings, CameraBudget
from secondlook.edge.pipeline_settings import FusionSettings, GateSettings, RegionSettings
from secondlook.shared.settings import Section


class PolicySettings(Section):
    """What decides about the frames of one camera."""

    gate: GateSettings = Field(default_factory=GateSettings, description="What is asked.")
    regions: RegionSettings = Field(default_factory=RegionSettings, description="How it travels.")
    fusion: FusionSettings = Field(default_factory=FusionSettings, description="What is published.")
    budget: BudgetSettings = Field(
        default_factory=BudgetSettings, description="What all cameras may send and ask."
    )
    camera_budget: CameraBudget | None = Field(
        None, description="What this one may; default: budget.per_camera."
    )
    answer_within_s: float = Field(
        10.0, gt=0, le=86_400, description="How long a verdict serves the answer, seconds."
    )

    def document(self) -> dict[str, Any]:
        """As plain JSON; what is not set is left out."""
        return self.model_dump(mode="json", exclude_none=True)
