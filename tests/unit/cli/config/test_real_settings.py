"""The settings of both tiers keep the rules: a sentence, a bound, a default that is valid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.repository import ROOT

from secondlook.cli.config import entries, nested
from secondlook.cli.config.command import TIERS, Tier, settings_class
from secondlook.cli.config.toml import write_toml
from secondlook.cli.main import run
from secondlook.shared.settings import load, read_layers

MINIMAL = {"edge": '[[cameras]]\nid = "a"\nurl = "sim://street"\n', "cloud": ""}


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of every table of a schema, by ``Table.field``."""
    definitions = schema.get("$defs", {})
    for title, table in {"": schema, **definitions}.items():
        for name, field in table.get("properties", {}).items():
            # A sentence that is also its class's is written at the class only.
            of_class = definitions.get(field.get("$ref", "").rpartition("/")[2], {})
            description = field.get("description") or of_class.get("description", "")
            yield f"{title}.{name}", {**field, "description": description}


ALL = [
    pytest.param(field, id=f"{tier}:{name}")
    for tier in TIERS
    for name, field in fields(settings_class(tier).model_json_schema())
]


@pytest.mark.parametrize("field", ALL)
def test_every_field_says_in_one_sentence_what_it_is(field: dict[str, Any]) -> None:
    sentence = field.get("description", "")
    assert sentence.endswith("."), sentence
    assert sentence[0].isupper() or sentence.startswith(("`", "gRPC")), sentence
    assert len(sentence) <= 160


@pytest.mark.parametrize("field", ALL)
def test_every_number_has_a_lower_bound(field: dict[str, Any]) -> None:
    for part in field.get("anyOf", [field]):
        if part.get("type") in ("number", "integer") and "enum" not in part:
            assert "minimum" in part or "exclusiveMinimum" in part


@pytest.mark.parametrize("tier", TIERS)
def test_an_unknown_key_is_refused_in_every_table(tier: Tier) -> None:
    schema = settings_class(tier).model_json_schema()
    tables = [schema, *(t for t in schema["$defs"].values() if "properties" in t)]
    assert [t["title"] for t in tables if t.get("additionalProperties") is not False] == []


@pytest.mark.parametrize("tier", TIERS)
def test_little_is_needed_and_what_is_shown_reads_back(tier: Tier, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(MINIMAL[tier])
    settings = load(settings_class(tier), tier, path, {})
    sources = {e.field: e.source for e in entries(settings, read_layers(tier, path, {}))}
    path.write_text(write_toml(nested(settings), sources))
    assert load(settings_class(tier), tier, path, {}) == settings


@pytest.mark.parametrize("tier", TIERS)
def test_the_examples_hold(tier: Tier, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "deploy" / "examples" / f"{tier}.toml"
    assert run(["config", "check", tier, "--config", str(path)]) == 0
    assert "ok: " in capsys.readouterr().out


def test_directories_of_models_that_are_not_there_are_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(f'[repository]\npaths = ["{tmp_path}", "{tmp_path}/gone"]\n')
    assert run(["config", "check", "cloud", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"error: repository.paths: {tmp_path}/gone is no directory" in err
    assert err.rstrip().endswith(": 1 problem")


def test_a_typo_in_a_camera_is_named_with_what_was_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(MINIMAL["edge"] + "analysis_fsp = 3\n[uplink]\ntimout_s = 1\n")
    assert run(["config", "check", "edge", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert "cameras.0.analysis_fsp is not a setting; did you mean analysis_fps?" in err
    assert "uplink.timout_s is not a setting; did you mean timeout_s?" in err
