"""Models, with tiny real networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.doctor import Results
from support.networks import write_bright_spot_model

from secondlook.cli.doctor.model import ModelVisit
from secondlook.cli.doctor.result import Status, exit_code
from secondlook.shared.detect import load_detector

pytestmark = pytest.mark.anyio

STEPS = ["loads", "classes", "provider", "inference"]


async def visit(path: Path, providers: tuple[str, ...] = ("auto",)) -> Results:
    results = Results()
    load = ModelVisit("model", lambda: load_detector(path, threads=1), providers)
    await load.walk(results)
    assert list(results.shape()) == STEPS
    return results


async def test_a_good_model(tmp_path: Path) -> None:
    path = tmp_path / "spots.onnx"
    write_bright_spot_model(path)
    results = await visit(path)
    assert exit_code(results) == 0
    assert "128x96" in results.of("model: loads").detail
    assert results.of("model: classes").detail == "3: person, car, bottle"
    assert results.of("model: provider").detail == "CPU is active"
    assert " ms for a grey frame" in results.of("model: inference").detail


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x07" * 1000])
async def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    results = await visit(path)
    assert results.shape() == dict.fromkeys(STEPS, "skip") | {"loads": "fail"}
    assert exit_code(results) == 2
    assert "broken.onnx" in results.first_failure.detail


async def test_a_missing_file(tmp_path: Path) -> None:
    results = await visit(tmp_path / "absent.onnx")
    assert exit_code(results) == 2
    assert "absent.onnx" in results.first_failure.detail


async def test_a_network_that_gives_nonsense_fails_at_inference(tmp_path: Path) -> None:
    path = tmp_path / "nan.onnx"
    write_bright_spot_model(path, fault="nan")
    results = await visit(path)
    assert results.shape()["loads"] == "ok"
    assert results.first_failure.name == "model: inference"
    assert exit_code(results) == 1


async def test_a_wanted_provider_that_is_not_active_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spots.onnx"
    write_bright_spot_model(path)
    results = await visit(path, ("tensorrt", "cpu"))
    provider = results.of("model: provider")
    assert provider.status is Status.WARN
    assert "CPU is active; tensorrt was wanted first" in provider.detail
    assert "onnxruntime-gpu" in provider.remedy
