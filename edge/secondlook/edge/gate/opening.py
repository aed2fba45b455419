"""From ``gate.file`` of the settings to the model that runs. One way for all who make pipelines.

What is decided where a file does not fit what runs:

- *another light model*: an error. The weights read its scores, and mean nothing of another's.
- *another heavy model*: a warning, when the first of its verdicts comes. What it says can only be
  known by then, models in the cloud are replaced while cameras run, and two releases of one model
  mostly agree; what the file promises is off all the same.
- *other settings than the promise was measured with*: a warning that names them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from secondlook.edge.gate.gate_file import GateFile, load_gate
from secondlook.edge.gate.risk import RiskModel, cold_start
from secondlook.edge.pipeline_settings import GateSettings, PipelineSettings
from secondlook.shared.detect import ModelInfo
from secondlook.shared.errors import InvalidConfig

COLD_START = "cold-start"
"""In the place of a fingerprint where no file is used."""

_PROMISED = ("tracker", "gate", "misses", "regions", "canvas", "fusion")
_FREE = ("gate.file", "gate.threshold", "gate.classes")
"""Settings that may differ from those of the promise: what the file itself says."""
_MAX_STRANGERS = 64


@dataclass(slots=True)
class OpenGate:
    """A gate, ready to run.

    Attributes:
        pipeline: the settings, with the file's threshold where they name none.
        risk: how likely answers are right.
        file: what it comes from; ``None`` of the cold start.
    """

    pipeline: PipelineSettings
    risk: RiskModel
    file: GateFile | None
    _strangers: set[tuple[str, str]] = field(default_factory=set)

    @property
    def fingerprint(self) -> str:
        """Of the file; `COLD_START` without one."""
        return COLD_START if self.file is None else self.file.fingerprint

    def differences(self) -> list[str]:
        """Settings that are not those with which the promise was measured, in words."""
        if self.file is None or self.file.promise is None:
            return []
        now = promised_settings(self.pipeline)
        then = self.file.promise.settings
        return [
            f"{name} is {now[name]}, the promise was measured with {then[name]}"
            for name in sorted(now.keys() & then.keys())
            if now[name] != then[name]
        ]

    def remark_on_heavy(self, model: str, version: str) -> str | None:
        """What is to be said about the model of a verdict; once for each model, else ``None``."""
        if self.file is None or self.file.heavy.is_same(model, version):
            return None
        known = len(self._strangers)
        if known < _MAX_STRANGERS:
            self._strangers.add((model, version))
        if len(self._strangers) == known:
            return None
        return (
            f"the gate was calibrated for verdicts of {self.file.heavy}; these are of {model} "
            f"({version}): its promise does not hold; run `secondlook calibrate` with that model"
        )


def open_gate(settings: PipelineSettings, light: ModelInfo | None = None) -> OpenGate:
    """The gate that the settings name. Blocking.

    Args:
        settings: of the pipeline. Where they do not name a threshold themselves, the file's is
            put in.
        light: the edge's model, to see that the file was trained for it; unchecked where not
            given.

    Raises:
        InvalidConfig: the file cannot be used, or was trained for another light model.
    """
    if not settings.gate.file:
        return OpenGate(settings, cold_start(), None)
    file = load_gate(settings.gate.file)
    if light is not None and not file.light.is_same(light.name, light.version):
        raise InvalidConfig(
            f"gate file {settings.gate.file} was trained for the light model {file.light}; "
            f"this is {light.name} ({light.version})",
            remedy="run `secondlook calibrate` with this model, or leave gate.file empty",
        )
    if "threshold" not in settings.gate.model_fields_set:
        gate = settings.gate.model_copy(update={"threshold": file.threshold})
        settings = settings.model_copy(update={"gate": gate})
    return OpenGate(settings, file.risk.risk(), file)


def risk_of(settings: GateSettings) -> RiskModel:
    """The risk model that the settings name. Blocking; raises `InvalidConfig`."""
    return load_gate(settings.file).risk.risk() if settings.file else cold_start()


def promised_settings(settings: PipelineSettings) -> dict[str, Any]:
    """The settings on which a promise depends, by ``section.name``, as a gate file keeps them."""
    found = {}
    for section in _PROMISED:
        for name, value in getattr(settings, section).model_dump(mode="json").items():
            path = f"{section}.{name}"
            if path not in _FREE:
                found[path] = tuple(value) if isinstance(value, list) else value
    # Of trust, what costs bytes.
    found["trust.audit_rate"] = settings.trust.audit_rate
    return found
