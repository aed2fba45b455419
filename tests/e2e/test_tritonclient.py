"""The official client against the real command, a real repository and real networks.

The client runs in a process of its own: its stubs and ours have the same symbols. What it calls is
in `tests/support/triton_calls.py`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import onnx
import pytest
from onnx import TensorProto, helper
from support.cloud import cloud_process
from support.networks_raw import ONNX_TYPES
from support.repository import ROOT

from secondlook.edge.capture.clip import read_clip
from secondlook.shared.zoo import model_file

SCRIPT = ROOT / "tests" / "support" / "triton_calls.py"
CHECKS = re.findall(r"^(?:async )?def (check_\w+)", SCRIPT.read_text(), re.MULTILINE)

FRAMES_UNTIL_A_CAR = 40

MLP = """
name: "mlp"
backend: "onnxruntime"
max_batch_size: 8
version_policy { all {} }
input { name: "x" data_type: TYPE_FP32 dims: 4 }
output { name: "y" data_type: TYPE_FP32 dims: 4 }
dynamic_batching {}
"""


def network(operator: str, kind: int, shape: list[int | str]) -> bytes:
    """One node from `x` to `y`."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def repository(folder: Path) -> list[str]:
    """A repository with all models that the calls need; returns their names."""

    def place(name: str, version: int) -> Path:
        path = folder / name / str(version) / "model.onnx"
        path.parent.mkdir(parents=True)
        return path

    for datatype, kind in ONNX_TYPES.items():
        name = f"identity_{datatype}"
        place(name, 1).write_bytes(network("Identity", kind, ["n"]))
        # Without it the free first axis would be taken for a batch.
        (folder / name / "config.pbtxt").write_text(_unbatched(name, datatype))
    for version in (1, 2):
        place("mlp", version).write_bytes(network("Relu", TensorProto.FLOAT, ["n", 4]))
    (folder / "mlp" / "config.pbtxt").write_text(MLP)
    shutil.copy(model_file("zoo:street_heavy"), place("eyes", 1))
    return sorted(path.name for path in folder.iterdir())


def _unbatched(name: str, datatype: str) -> str:
    kind = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return (
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 0\n'
        f'input {{ name: "x" data_type: {kind} dims: -1 }}\n'
        f'output {{ name: "y" data_type: {kind} dims: -1 }}\n'
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("triton")
    models = folder / "models"
    names = repository(models)
    settings = folder / "cloud.toml"
    settings.write_text(
        "models = []\n[server]\nport = 0\n[memory]\nurl = 'sqlite:///:memory:'\n"
        f"[repository]\npaths = [{json.dumps(str(models))}]\ncontrol = 'explicit'\n"
        f"load = {json.dumps(names)}\n"
    )
    picture = folder / "street.png"
    *_, last = read_clip("sim://street?size=640x360&seed=7", max_frames=FRAMES_UNTIL_A_CAR)
    assert cv2.imwrite(str(picture), last.frame.image)
    with cloud_process(folder, "--config", str(settings)) as cloud:
        run = subprocess.run(
            [sys.executable, str(SCRIPT), f"127.0.0.1:{cloud.port}", str(picture)],
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert run.returncode == 0, run.stderr
        assert cloud.terminate() == 0, cloud.log.read_text()
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_the_official_client_works_unchanged(check: str, told: dict[str, str]) -> None:
    assert told[check] == "", told[check]
