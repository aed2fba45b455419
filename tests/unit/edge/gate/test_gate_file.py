"""The gate file: what was written is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gates import branches, gate_file

from secondlook.edge.evidence.features import CHANGE, SIGHT
from secondlook.edge.gate.gate_file import (
    MAX_FILE_BYTES,
    load_gate,
    parse_gate,
    save_gate,
)
from secondlook.edge.gate.logistic import Basis, Logistic
from secondlook.edge.gate.risk import RiskModel, cold_start
from secondlook.shared.errors import InvalidConfig


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = gate_file(note="of the north gate")
    path = tmp_path / "gate.json"
    save_gate(written, path)
    read = load_gate(path)
    assert read == written
    assert read.fingerprint == written.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["gate.json"]
    values = np.random.default_rng(0).normal(size=(9, len(SIGHT)))
    changes = np.random.default_rng(1).normal(size=(9, len(CHANGE)))
    refuted = np.arange(9) % 2 == 0
    ours, theirs = cold_start(), read.risk.risk()
    assert np.array_equal(ours.unverified(values).right, theirs.unverified(values).right)
    assert np.array_equal(
        ours.verified(values, changes, refuted).loss, theirs.verified(values, changes, refuted).loss
    )


def test_a_file_that_is_replaced_is_whole_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    save_gate(gate_file(), path)
    save_gate(gate_file(threshold=0.5), path)
    assert load_gate(path).threshold == 0.5
    with pytest.raises(InvalidConfig, match="cannot be written"):
        save_gate(gate_file(), tmp_path / "no" / "gate.json")
    assert [p.name for p in tmp_path.iterdir()] == ["gate.json"]


def test_the_fingerprint_is_of_the_content_not_of_names_and_notes() -> None:
    one = gate_file()
    clip = one.clips[0].model_copy(update={"name": "b.mp4"})
    same = gate_file(note="another", made_at="2030-01-01T00:00:00Z", clips=(clip,))
    assert same.fingerprint == one.fingerprint
    assert gate_file(threshold=0.21).fingerprint != one.fingerprint
    other = clip.model_copy(update={"content": "file 2"})
    assert gate_file(clips=(other,)).fingerprint != one.fingerprint
    assert one.fingerprint.startswith("sha256:")
    assert len(one.fingerprint) == 7 + 64


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            data = data[int(name)] if isinstance(data, list) else data[name]
        if value is None:
            del data[last]
        else:
            data[int(last) if isinstance(data, list) else last] = value  # type: ignore[index]

    return apply


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", "other", "format"),
        ("schema", 2, "schema: 2"),
        ("schema", "1", "schema: '1'"),
        ("schema", True, "schema: True"),
        ("schema", None, "schema"),
        ("fingerprint", "sha256:00", "fingerprint"),
        ("threshold", 0.3, "fingerprint"),
        ("threshold", 0, "threshold"),
        ("threshold", "0.3", "threshold"),
        ("more", 1, "more"),
        ("light", None, "light"),
        ("risk.present", None, "risk.present"),
        ("risk.present.weights", [1.0], "risk.present"),
        ("risk.present.weights.0", "a", "risk.present.weights.0"),
        ("risk.present.weights.0", 1e7, "risk.present"),
        ("risk.present.columns.0", "mood", "present.columns: 'mood'"),
        ("risk.present.hinges", [["mood", 1.0]], "'mood'"),
        ("risk.present.products", [["score"]], "risk.present.products.0"),
        ("clips.0.frames", -1, "clips.0.frames"),
        ("promise.points.0.f1", 1.5, "promise.points.0.f1"),
        ("promise.settings", {"a": {"b": 1}}, "promise.settings"),
        ("note", "x" * 3000, "note"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, said: str) -> None:
    data = json.loads(gate_file().text())
    change(path, value)(data)
    with pytest.raises(InvalidConfig) as caught:
        parse_gate(json.dumps(data), "gate file g.json")
    assert said in str(caught.value)
    assert "g.json" in str(caught.value)
    assert caught.value.remedy


def test_change_columns_belong_to_the_verified_branches() -> None:
    data = json.loads(gate_file().text())
    data["risk"]["present"]["columns"][0] = "age"
    with pytest.raises(InvalidConfig, match=r"present.columns: 'age'"):
        parse_gate(json.dumps(data))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(word: str) -> None:
    text = gate_file().text().replace('"threshold": 0.2', f'"threshold": {word}', 1)
    with pytest.raises(InvalidConfig, match=r"number|threshold"):
        parse_gate(text)
    weight = repr(cold_start().present.weights[0])
    with pytest.raises(InvalidConfig):
        parse_gate(gate_file().text().replace(weight, word, 1))


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_a_truncated_file_is_refused(cut: int) -> None:
    with pytest.raises(InvalidConfig, match="JSON"):
        parse_gate(gate_file().text()[:cut])


def test_no_flipped_digit_goes_unseen() -> None:
    text = gate_file().text()
    start = text.index('"weights"')
    digits = [i for i in range(start, start + 300) if text[i].isdigit()]
    for at in digits:
        flipped = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
        try:
            read = parse_gate(flipped)
        except InvalidConfig:
            continue
        assert read == gate_file(), "a flip that changes no number"


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"a": 1, "a": 2}', "[" * 100_000, '"\\ud800"', "\x00"]
)
def test_what_is_no_gate_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig):
        parse_gate(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="does not exist"):
        load_gate(tmp_path / "none.json")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        load_gate(tmp_path)
    with pytest.raises(InvalidConfig, match="cannot be read"):
        load_gate("a\0b")
    path = tmp_path / "gate.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidConfig, match="UTF-8"):
        load_gate(path)
    path.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(InvalidConfig, match="larger"):
        load_gate(path)


def test_a_rich_model_keeps_its_terms() -> None:
    basis = Basis(("score", "size"), (("score", -1.5),), (("score", "size"),))
    rich = Logistic(basis, (0.5, 1.0, -2.0, 0.25, 0.125))
    model = RiskModel(rich, cold_start().same_class, cold_start().confirmed, cold_start().refuted)
    assert parse_gate(gate_file(risk=branches(model)).text()).risk.risk() == model
