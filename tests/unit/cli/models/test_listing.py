"""`secondlook models list|check` as people use it: output, messages, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.model_tree import ModelTree, tiny_onnx

from secondlook.cli.main import run


@pytest.fixture
def tree(tmp_path: Path) -> ModelTree:
    tree = ModelTree(tmp_path / "models")
    tree.version("tiny", 1)
    tree.version("tiny", 2, gain=2.0)
    tree.config(
        "tiny",
        """version_policy { all {} }
        parameters { key: "share.1" value { string_value: "3" } }
        parameters { key: "share.2" value { string_value: "1" } }
        """,
    )
    return tree


def test_check_accepts_what_can_be_served(
    tree: ModelTree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "check", str(tree.root)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"ok: {tree.root}: 1 model, 2 releases would be served\n"
    assert shown.err == ""


def test_check_names_every_problem(tree: ModelTree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.version("cut", 1, tiny_onnx()[:40])
    file = tree.config("slip", "max_batch_siz: 3")
    (tree.root / "notes.txt").write_text("passed over")
    assert run(["models", "check", str(tree.root)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0].startswith(f"note: {tree.root}/notes.txt: is not a directory")
    assert lines[1].startswith("error: cut 1: ")
    assert lines[2].startswith(f"error: slip: {file}:1: max_batch_siz: no such field")
    assert lines[-1] == f"{tree.root}: 2 problems; 1 model, 2 releases would be served"


def test_what_is_only_passed_over_does_not_fail(
    tree: ModelTree, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree.root / "notes.txt").write_text("passed over")
    assert run(["models", "check", str(tree.root)]) == 0
    assert capsys.readouterr().err.startswith("note: ")


def test_one_model_by_itself(
    tree: ModelTree, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.version("cut", 1, tiny_onnx()[:40])
    assert run(["models", "check", str(tree.root / "tiny")]) == 0
    assert run(["models", "check", str(tree.root / "cut")]) == 2
    monkeypatch.chdir(tree.root / "tiny")
    assert run(["models", "check", "."]) == 0
    capsys.readouterr()


def test_a_root_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "check", str(tmp_path / "gone")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert run(["models", "check"]) == 2
    assert "PATH" in capsys.readouterr().err


def test_list_shows_what_would_be_served_and_what_not(
    tree: ModelTree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.version("cut", 1, tiny_onnx()[:40])
    assert run(["models", "list", str(tree.root)]) == 0
    shown = capsys.readouterr()
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0][:5] == ["model", "version", "variant", "backend", "batch"]
    assert [row[:4] for row in rows[1:]] == [
        ["tiny", "1", "(75%)", "fp32"],
        ["tiny", "2", "(25%)", "fp32"],
    ]
    assert "x FP32 4" in shown.out
    assert "error: cut 1: " in shown.err


def test_list_for_programs(tree: ModelTree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.config("slip", "\nmax_batch_siz: 3")
    assert run(["models", "list", str(tree.root), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (model,) = said["models"]
    assert model["name"] == "tiny"
    first = model["releases"][0]
    assert (first["version"], first["variant"], first["share"]) == ("1", "fp32", 3.0)
    assert first["inputs"] == [{"name": "x", "dtype": "FP32", "shape": [4]}]
    assert len(first["sha256"]) == 64
    (finding,) = said["findings"]
    assert (finding["severity"], finding["model"]) == ("error", "slip")
    assert (finding["line"], finding["field"]) == (2, "max_batch_siz")


def test_check_for_programs_has_the_same_exit_code(
    tree: ModelTree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "check", str(tree.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    tree.config("slip", "max_batch_siz: 3")
    assert run(["models", "check", str(tree.root), "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["list"], ["check"]):
        assert run(["models", *command, "--help"]) == 0
        assert "secondlook models" in capsys.readouterr().out.split("Examples:")[1]
