"""Our stubs of the Open Inference Protocol and those of the official client agree on the wire."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import ROOT

SCRIPT = ROOT / "tests" / "support" / "oip_descriptors.py"
OURS = ("secondlook.oip.model_config_pb2", "secondlook.oip.inference_pb2")
THEIRS = ("tritonclient.grpc.model_config_pb2", "tritonclient.grpc.service_pb2")


def _descriptors(modules: tuple[str, ...]) -> dict[str, list[str]]:
    run = subprocess.run(
        [sys.executable, SCRIPT, *modules],
        cwd=Path(ROOT),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, list[str]] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def ours() -> dict[str, list[str]]:
    return _descriptors(OURS)


@pytest.fixture(scope="module")
def theirs() -> dict[str, list[str]]:
    return _descriptors(THEIRS)


def test_what_we_have_is_what_the_client_has(
    ours: dict[str, list[str]], theirs: dict[str, list[str]]
) -> None:
    assert len(ours) > 60
    for name, parts in ours.items():
        assert set(parts) <= set(theirs[name]), name


def test_a_model_configuration_is_whole(
    ours: dict[str, list[str]], theirs: dict[str, list[str]]
) -> None:
    seen: set[str] = set()
    open_ = ["inference.ModelConfig"]
    while open_:
        name = open_.pop()
        seen.add(name)
        assert sorted(ours[name]) == sorted(theirs[name]), name
        parts = {word for line in theirs[name] for word in line.split()}
        open_ += [part for part in parts if part.startswith("inference.") and part not in seen]
    assert len(seen) > 40


@pytest.mark.parametrize(
    "message",
    [
        "inference.ModelInferRequest",
        "inference.ModelInferResponse",
        "inference.ModelStreamInferResponse",
        "inference.InferTensorContents",
        "inference.InferParameter",
    ],
)
def test_what_matters_most_is_whole(
    message: str, ours: dict[str, list[str]], theirs: dict[str, list[str]]
) -> None:
    assert sorted(ours[message]) == sorted(theirs[message])
