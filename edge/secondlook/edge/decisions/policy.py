"""The settings that decide what is asked: in the header of each file, and what a replay changes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from secondlook.edge.control.settings import BudgetSettings, CameraBudget
from secondlook.edge.decisions.records import LogHeader
from secondlook.edge.pipeline_settings import FusionSettings, GateSettings, RegionSettings
from secondlook.shared.errors import InvalidConfig, InvalidInput
from secondlook.shared.settings import Section, problems_of, read_layers
from secondlook.shared.trust import TrustSettings

_UNITS = ("kb_per_s", "mb_per_day", "money_per_month", "price_per_gb", "money_per_inference")
_DECIDING = ("gate", "trust", "budget", "cameras")
REPLAYED = (
    "threshold", "again_factor", "again_s", "waiting_factor", "max_waiting", "ride_share",
    "background_every_s", "max_regions",
)  # fmt: skip
"""Settings of the gate that a replay can change; the others shaped the evidence itself."""


class PolicySettings(Section):
    """What decides about the frames of one camera."""

    gate: GateSettings = Field(default_factory=GateSettings, description="What is asked.")
    regions: RegionSettings = Field(default_factory=RegionSettings, description="How it travels.")
    fusion: FusionSettings = Field(default_factory=FusionSettings, description="What is published.")
    trust: TrustSettings = Field(
        default_factory=TrustSettings, description="How often a coin chooses an audit."
    )
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

    @property
    def limited(self) -> bool:
        """Whether there is any budget."""
        own = self.camera_budget or self.budget.per_camera
        rates = (self.budget.bytes_per_s, self.budget.cloud_per_s, own.bytes_per_s, own.cloud_per_s)
        return any(rate is not None for rate in rates)


def policy_of(header: LogHeader) -> PolicySettings:
    """The policy that a file of a log was made under.

    Raises:
        InvalidInput: the settings in the header are not understood.
    """
    try:
        return PolicySettings.model_validate(_known(header.settings, PolicySettings))
    except ValidationError as error:
        raise InvalidInput(
            f"the settings in the log of {header.camera} are not understood: "
            + "; ".join(problems_of(error, PolicySettings)[:3]),
            remedy=f"it was written by secondlook {header.software or 'of an unknown version'}",
        ) from None


class OtherPolicy:
    """A settings file laid over the policies of a log: what it does not say stays as it was.

    Args:
        path: TOML with ``[gate]``, ``[budget]``, ``[trust]``, ``[[cameras]]`` with their budgets;
            a whole ``edge.toml`` will do, the rest of it is not looked at.
        tables: names of all tables that such a file may have.

    Raises:
        InvalidConfig: it is missing, no TOML, has a table that does not exist, or says nothing
            that decides.
    """

    def __init__(self, path: Path, tables: frozenset[str]) -> None:
        self._path = path
        self._given = read_layers("edge", path, {}).file
        for name in self._given:
            if name not in tables:
                near = difflib.get_close_matches(name, tables, 1)
                hint = f"; did you mean [{near[0]}]?" if near else ""
                raise InvalidConfig(f"{path}: [{name}] is not a table of the settings{hint}")
        if not any(name in self._given for name in _DECIDING):
            raise InvalidConfig(
                f"{path} says nothing about what is asked", remedy="give [gate] or [budget]"
            )

    def over(self, header: LogHeader) -> PolicySettings:
        """The policy for the camera of a header.

        Raises:
            InvalidConfig: a value is wrong.
        """
        own = policy_of(header).document()
        told = {
            "gate": {**own["gate"], **_table(self._given, "gate")},
            "trust": {**own["trust"], **_table(self._given, "trust")},
            "budget": _budget(own["budget"], _table(self._given, "budget")),
        }
        cameras = self._given.get("cameras", ())
        for camera in cameras if isinstance(cameras, list) else ():
            if isinstance(camera, Mapping) and camera.get("id") == header.camera:
                told["camera_budget"] = camera.get("budget", own.get("camera_budget"))
        try:
            return PolicySettings.model_validate({**own, **told})
        except ValidationError as error:
            lines = problems_of(error, PolicySettings)
            raise InvalidConfig(f"{self._path}: " + "; ".join(lines)) from None


def not_replayed(own: PolicySettings, other: PolicySettings) -> list[str]:
    """Settings of the gate that differ and that a replay cannot change."""
    before, after = own.gate.model_dump(), other.gate.model_dump()
    return [
        f"gate.{name}"
        for name, value in after.items()
        if name not in REPLAYED and value != before[name]
    ]


def _known(settings: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The settings without those that another version knew: what they did is in the evidence."""
    out = {}
    for name, value in settings.items():
        field = model.model_fields.get(name)
        if field is None:
            continue
        kind: Any = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        out[name] = _known(value, kind) if inner and isinstance(value, Mapping) else value
    return out


def _table(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = given.get(name, {})
    if not isinstance(table, Mapping):
        raise InvalidConfig(f"{name} is not a table")
    return dict(table)


def _budget(own: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A limit in another unit takes the place of the old one."""
    if any(name in given for name in _UNITS):
        own = {name: value for name, value in own.items() if name not in _UNITS}
    return {**own, **given}
