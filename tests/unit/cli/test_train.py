"""`secondlook train` hands its options to the training, which needs torch and is tested there."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from secondlook.cli.main import run


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        calls.append(arguments)
        return 0

    monkeypatch.setitem(sys.modules, "secondlook.cloud.training", SimpleNamespace(main=main))
    return calls


def test_only_what_is_given_is_handed_on(handed: list[list[str]]) -> None:
    assert run(["train", "street", "--variant", "light", "--out", "models"]) == 0
    assert handed == [["--variant=light", "--out=models"]]


def test_every_option_is_handed_on(handed: list[list[str]]) -> None:
    given = "--variant=heavy --out=o --steps=5 --batch=2 --streets=3 --workers=1 --threads=1"
    assert run(["train", "street", *given.split(), "--cache=c", "--export-only"]) == 0
    assert sorted(handed[0]) == sorted([*given.split(), "--cache=c", "--export-only"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "o"], "--variant"),
        (["--variant", "huge", "--out", "o"], "'huge' is not one of"),
        (["--variant", "light", "--out", "o", "--minutes", "1", "--steps", "1"], "not both"),
        (["--variant", "light", "--out", "o", "--minutes", "0"], "0"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    arguments: list[str],
    told: str,
    handed: list[list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["train", "street", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert handed == []
