"""Which settings hold, and who said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field
from support.settings import SAMPLE, SampleSettings

from secondlook.cli.config import entries, nested
from secondlook.shared.settings import Section, load, read_layers


def effective(path: Path | None, environ: dict[str, str]) -> dict[str, tuple[object, str]]:
    settings = load(SampleSettings, "edge", path, environ)
    layers = read_layers("edge", path, environ)
    return {entry.field: (entry.value, entry.source) for entry in entries(settings, layers)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE)
    return path


def test_defaults_alone() -> None:
    found = effective(None, {})
    assert found["uplink.timeout_s"] == (5.0, "default")
    assert found["cameras"] == ([], "default")
    assert {source for _, source in found.values()} == {"default"}


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(file: Path) -> None:
    found = effective(file, {"SECONDLOOK_EDGE__UPLINK__TIMEOUT_S": "2.5"})
    assert found["uplink.timeout_s"] == (2.5, "environment")
    assert found["uplink.target"] == ("dns:///cloud:50051", "file")
    assert found["uplink.retries"] == (3, "default")


def test_a_value_equal_to_its_default_is_still_the_files(file: Path) -> None:
    file.write_text("[uplink]\nretries = 3\n")
    assert effective(file, {})["uplink.retries"] == (3, "file")


def test_each_entry_of_a_list_of_tables_has_its_own_sources(file: Path) -> None:
    found = effective(file, {})
    assert found["cameras[0].name"] == ("gate", "file")
    assert found["cameras[0].fps"] == (5.0, "default")
    assert found["cameras[1].fps"] == (2.0, "file")


def test_passwords_are_masked(file: Path) -> None:
    found = effective(file, {})
    assert found["cameras[0].url"] == ("rtsp://viewer:***@camera/1", "file")
    assert found["store.password"] == ("***", "file")
    assert "hunter2" not in str(nested(load(SampleSettings, "edge", file, {})))


def test_the_order_is_that_of_the_definition(file: Path) -> None:
    tables = [field.split(".")[0].split("[")[0] for field in effective(file, {})]
    assert list(dict.fromkeys(tables)) == list(SampleSettings.model_fields)


def test_descriptions_come_from_the_fields(file: Path) -> None:
    settings = load(SampleSettings, "edge", file, {})
    found = {e.field: e.description for e in entries(settings, read_layers("edge", file, {}))}
    assert found["uplink.timeout_s"] == "Longest wait for a verdict, seconds."
    assert found["cameras[1].fps"] == "Analysed frames a second."


def test_a_list_from_the_environment_hides_the_files(tmp_path: Path) -> None:
    class Tiny(Section):
        names: tuple[str, ...] = Field((), description="Names.")

    path = tmp_path / "a.toml"
    path.write_text('names = ["a", "b"]\n')
    environ = {"SECONDLOOK_EDGE__NAMES": '["c"]'}
    found = entries(load(Tiny, "edge", path, environ), read_layers("edge", path, environ))
    assert [(entry.value, entry.source) for entry in found] == [(["c"], "environment")]
