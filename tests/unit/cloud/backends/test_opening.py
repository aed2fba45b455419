"""Opening a backend: what is refused, and what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from onnx import TensorProto
from support.networks_raw import write_identity_model

from secondlook.cloud.backends import open_backend
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.shared.errors import InvalidConfig, MissingDependency


def release(folder: Path, backend: str) -> Release:
    path = write_identity_model(folder / "model.onnx", TensorProto.FLOAT)
    return Release(ModelConfig("m", backend), "1", path)


def test_an_unknown_backend_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"'tensorflow'.*onnxruntime, pytorch"):
        open_backend(release(tmp_path, "tensorflow"))


@pytest.mark.parametrize("device", ["", "gpu:", "gpu:x", "cuda:0", "cpu:1", "gpu:-1", "gpu:1\n"])
def test_a_device_that_cannot_be_is_told(tmp_path: Path, device: str) -> None:
    with pytest.raises(InvalidConfig, match="device"):
        open_backend(release(tmp_path, "onnxruntime"), device=device)


@pytest.mark.parametrize("threads", [-1, 5000])
def test_threads_out_of_range_are_told(tmp_path: Path, threads: int) -> None:
    with pytest.raises(InvalidConfig, match="threads"):
        open_backend(release(tmp_path, "onnxruntime"), threads=threads)


@pytest.mark.parametrize("backend", ["pytorch", "ultralytics"])
def test_a_missing_library_is_told_with_its_extra(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [name for name in sys.modules if name.startswith("secondlook.cloud.backends.")]
    for name in ours:
        if "torch_" in name or "ultralytics_" in name:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"torch is not installed.*secondlook\[torch\]"):
        open_backend(release(tmp_path, backend))
