"""A model served by one service, asked by the remote backend as another service would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from support.cloud import cloud_process
from support.networks import blank, paint, write_bright_spot_model
from support.networks_raw import TABLE, arithmetic, write_arithmetic_model, write_identity_model

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.shared.errors import InvalidInput, ModelFailure, Unavailable


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The repository of a running service, and its address."""
    folder = tmp_path_factory.mktemp("service")
    models = folder / "models"
    for name in ("numbers", "spots", "words"):
        (models / name / "1").mkdir(parents=True)
    write_arithmetic_model(models / "numbers" / "1" / "model.onnx")
    write_bright_spot_model(models / "spots" / "1" / "model.onnx")
    write_identity_model(models / "words" / "1" / "model.onnx", TensorProto.STRING)
    (folder / "cloud.toml").write_text(
        f'[repository]\npaths = ["{models}"]\n'
        '[server]\nhost = "127.0.0.1"\nport = 0\n'
        '[memory]\nurl = "sqlite:///:memory:"\n'
    )
    with cloud_process(folder, "--config", str(folder / "cloud.toml")) as running:
        yield models, f"127.0.0.1:{running.port}"


def remote(address: str, model: str, **said: str) -> Backend:
    parameters = {"address": address, "remote_model": model, **said}
    config = ModelConfig("here", "remote", parameters=parameters)
    return open_backend(Release(config, "1", Path("/nowhere")))


def test_tensors_are_those_of_the_network_itself(service: tuple[Path, str]) -> None:
    backend = remote(service[1], "numbers")
    rng = np.random.default_rng(3)
    for rows in (1, 3, 16):
        x = {
            "a": rng.normal(size=(rows, 4)).astype(np.float32),
            "b": rng.normal(size=(rows, 4)).astype(np.float32),
            "index": rng.integers(0, len(TABLE), (rows, 1)),
        }
        given = backend.run(x)
        for name, array in arithmetic(**x).items():
            np.testing.assert_allclose(given[name], array, rtol=1e-6)
    poisoned = x | {"index": np.full((16, 1), 99)}
    with pytest.raises(ModelFailure, match="here"):
        backend.run(poisoned)
    assert set(backend.run(x, ["sum"])) == {"sum"}
    backend.close()


def test_text_goes_there_and_back(service: tuple[Path, str]) -> None:
    backend = remote(service[1], "words")
    x = np.array([["ä".encode(), b"", b"c" * 70_000]], np.object_)
    np.testing.assert_array_equal(backend.run({"x": x})["y"], x)
    with pytest.raises(InvalidInput, match="text"):
        backend.run({"x": np.array([[b"\xff", b"", b""]], np.object_)})
    backend.close()


def test_boxes_are_those_of_the_network_itself(service: tuple[Path, str]) -> None:
    said = {"head": "yolov8", "names": '["person", "car", "bottle"]', "task": "detect"}
    backend = remote(service[1], "spots", input_layout="nhwc_bgr_uint8", **said)
    file = service[0] / "spots" / "1" / "model.onnx"
    local = open_backend(Release(ModelConfig("l", "onnxruntime"), "1", file), threads=1)
    images = [blank(320, 180), blank(64, 64), blank(128, 96)]
    paint(images[0], (40, 60, 120, 140), "car")
    paint(images[2], (16, 16, 80, 64), "bottle")
    assert backend.detector is not None
    assert local.detector is not None
    both = zip(
        backend.detector.detect(images, 0.3), local.detector.detect(images, 0.3), strict=True
    )
    for far, near in both:
        assert far.class_names() == near.class_names()
        np.testing.assert_allclose(far.boxes, near.boxes, atol=1e-3)
    assert backend.detector.info.provider == "remote"
    backend.close()
    local.close()


def test_a_model_that_is_not_there_is_unavailable(service: tuple[Path, str]) -> None:
    with pytest.raises(Unavailable, match="nothing"):
        remote(service[1], "nothing")
