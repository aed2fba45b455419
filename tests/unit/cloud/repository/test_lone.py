"""A file of `cloud.toml` is a release as one of a repository is."""

import hashlib
from pathlib import Path

import pytest
from support.model_tree import tiny_onnx
from support.networks import write_bright_spot_model

from secondlook.cloud.repository.config import Batching
from secondlook.cloud.repository.lone import lone_release
from secondlook.shared.errors import InvalidConfig, InvalidModel


def test_everything_is_derived(tmp_path: Path) -> None:
    file = tmp_path / "any.onnx"
    file.write_bytes(tiny_onnx())
    release = lone_release(file, name="m")
    digest = hashlib.sha256(tiny_onnx()).hexdigest()
    assert (release.digest, release.version) == (digest, f"sha256:{digest[:12]}")
    assert (release.config.name, release.config.backend) == ("m", "onnxruntime")
    assert (release.config.max_batch, release.config.batching) == (16, Batching())
    assert release.config.derived


def test_the_version_is_what_the_caller_the_sidecar_or_the_file_says(tmp_path: Path) -> None:
    file = write_bright_spot_model(tmp_path / "d.onnx", version="7")
    assert lone_release(file, name="m").version == "7"
    before = lone_release(file, name="m").digest
    file.with_suffix(".toml").write_text('version = "8"')
    assert lone_release(file, name="m").version == "8"
    assert lone_release(file, name="m").digest != before
    assert lone_release(file, name="m", version="9").version == "9"


def test_what_the_settings_say_holds(tmp_path: Path) -> None:
    file = write_bright_spot_model(tmp_path / "d.onnx")
    batching = Batching(max_queue_delay_s=0.002)
    release = lone_release(
        file,
        name="m",
        max_batch=64,
        threads=2,
        batching=batching,
        parameters={"min_score": "0.2", "objective_ms": "40"},
    )
    config = release.config
    assert (config.max_batch, config.instances[0].threads) == (64, 2)
    assert (config.batching, config.objective_s) == (batching, 0.04)
    assert config.parameters == {"min_score": "0.2"}
    fixed = write_bright_spot_model(tmp_path / "f.onnx", batch=1)
    assert lone_release(fixed, name="m", max_batch=64).config.max_batch == 0


def test_what_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="does not exist"):
        lone_release(tmp_path / "gone.onnx", name="m")
    file = tmp_path / "any.onnx"
    file.write_bytes(tiny_onnx()[:30])
    with pytest.raises(InvalidModel, match="cannot be loaded"):
        lone_release(file, name="m")
    file.write_bytes(tiny_onnx())
    with pytest.raises(InvalidConfig, match="min_score"):
        lone_release(file, name="m", parameters={"min_score": "2"})
