"""A memory in a file, and the command run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.cli.main import run
from secondlook.cli.memory.target import VARIABLE

Memory = Callable[..., tuple[int, str, str]]


@pytest.fixture
def memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Memory:
    """``secondlook memory ARGUMENTS`` in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "sqlite:///memory.db")

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["memory", *arguments])
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture
def put(memory: Memory) -> Callable[..., dict[str, Any]]:
    """Save a record; returns it as ``--json`` tells it."""

    def call(record_id: str, data: Any, *options: str) -> dict[str, Any]:
        code, out, err = memory("put", record_id, json.dumps(data), "--json", *options)
        assert code == 0, err
        saved: dict[str, Any] = json.loads(out)
        return saved

    return call
