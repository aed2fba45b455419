"""From the settings to the model that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gates import branches, certain, gate_file

from secondlook.edge.gate import cold_start
from secondlook.edge.gate.gate_file import save_gate
from secondlook.edge.gate.gate_parts import ModelId
from secondlook.edge.gate.opening import COLD_START, open_gate, promised_settings, risk_of
from secondlook.edge.pipeline_settings import GateSettings, PipelineSettings, RegionSettings
from secondlook.shared.detect import ModelInfo
from secondlook.shared.errors import InvalidConfig


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gate.json"
    save_gate(gate_file(), path)
    return path


def light(name: str = "light", version: str = "sha256:aaaa") -> ModelInfo:
    return ModelInfo(name, version, ("car",), 64, 64, "yolox", "CPU", 1)


def test_without_a_file_it_is_the_cold_start() -> None:
    settings = PipelineSettings()
    gate = open_gate(settings, light("any", "1"))
    assert gate.risk == cold_start() == risk_of(settings.gate)
    assert gate.pipeline is settings
    assert gate.fingerprint == COLD_START
    assert gate.differences() == []
    assert gate.remark_on_heavy("any", "1") is None


def test_the_threshold_of_the_file_stands_where_the_settings_name_none(path: Path) -> None:
    gate = open_gate(PipelineSettings(gate=GateSettings(file=str(path))), light())
    assert gate.pipeline.gate.threshold == 0.2
    named = PipelineSettings(gate=GateSettings(file=str(path), threshold=0.12))
    assert open_gate(named, light()).pipeline.gate.threshold == 0.12
    assert gate.fingerprint == gate_file().fingerprint


def test_the_model_of_the_file_runs(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    save_gate(gate_file(risk=branches(certain())), path)
    settings = GateSettings(file=str(path))
    assert risk_of(settings) == certain()
    assert open_gate(PipelineSettings(gate=settings)).risk == certain()


def test_another_light_model_is_an_error(path: Path) -> None:
    settings = PipelineSettings(gate=GateSettings(file=str(path)))
    # A content hash is enough: files are renamed.
    open_gate(settings, light("renamed"))
    with pytest.raises(InvalidConfig, match=r"light model light \(sha256:aaaa\).*sha256:bbbb"):
        open_gate(settings, light(version="sha256:bbbb"))


def test_another_heavy_model_is_said_once(path: Path) -> None:
    gate = open_gate(PipelineSettings(gate=GateSettings(file=str(path))))
    assert gate.remark_on_heavy("heavy", "7") is None
    said = gate.remark_on_heavy("heavy", "8")
    assert said is not None
    assert "heavy (8)" in said
    assert gate.remark_on_heavy("heavy", "8") is None
    # A version that is no content hash says nothing without the name.
    assert gate.remark_on_heavy("other", "7") is not None


def test_a_cloud_that_changes_its_model_all_the_time_fills_no_memory(path: Path) -> None:
    gate = open_gate(PipelineSettings(gate=GateSettings(file=str(path))))
    said = [gate.remark_on_heavy("heavy", f"v{number}") for number in range(1000)]
    assert sum(remark is not None for remark in said) == 64


def test_settings_that_are_not_those_of_the_promise_are_named(path: Path) -> None:
    settings = PipelineSettings(
        gate=GateSettings(file=str(path)), regions=RegionSettings(quality=60)
    )
    (difference,) = open_gate(settings).differences()
    assert difference == "regions.quality is 60, the promise was measured with 85"


def test_every_setting_that_a_promise_depends_on_fits_into_a_file(tmp_path: Path) -> None:
    promise = gate_file().promise
    assert promise is not None
    now = promised_settings(PipelineSettings())
    assert "gate.again_s" in now
    assert "gate.threshold" not in now
    path = tmp_path / "gate.json"
    save_gate(gate_file(promise=promise.model_copy(update={"settings": now})), path)
    assert open_gate(PipelineSettings(gate=GateSettings(file=str(path)))).differences() == []


def test_names_of_models_are_shown() -> None:
    assert str(ModelId(name="a", version="1")) == "a (1)"
