"""Whatever a backend reads from outside: it is understood, or refused by an error of ours.

Each test prints how many inputs it tried and what became of them (``pytest -s``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import write_bright_spot_model
from support.networks_raw import write_arithmetic_model

from secondlook.cloud.backends import open_backend
from secondlook.cloud.backends.declared import read_declared
from secondlook.cloud.backends.remote_client import read_remote
from secondlook.cloud.backends.remote_protocol import outputs_of
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import DTYPES
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.repository.variants import RECORD, read_record
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidConfig, InvalidInput, InvalidModel, ModelFailure

TOLD: dict[str, Counter[str]] = {}


def count(what: str, became: str) -> None:
    TOLD.setdefault(what, Counter())[became] += 1


@pytest.fixture(autouse=True, scope="module")
def _told() -> Iterator[None]:
    """Print the counts when all is done."""
    yield
    for what, became in TOLD.items():
        click.echo(f"\n{what}: {became.total()} tried, {dict(became)}")


@lru_cache(maxsize=2)
def network(detects: bool) -> bytes:
    write = write_bright_spot_model if detects else write_arithmetic_model
    with TemporaryDirectory() as folder:
        return write(Path(folder) / "model.onnx").read_bytes()


changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)


# The same mutations each time: a crash of a native library would take the whole run with it, so
# those that are known to be survived guard against a regression, here and in a newer one.
@settings(max_examples=150, derandomize=True)
@given(detects=st.booleans(), changes=changes, kept=st.just(1.0) | st.floats(0.02, 1))
def test_a_spoiled_network_is_refused_or_runs(
    detects: bool, changes: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(network(detects))
    for place, value in changes:
        data[int(place * len(data))] = value
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data[: max(1, int(kept * len(data)))])
        try:
            backend = open_backend(Release(ModelConfig("m", "onnxruntime"), "1", path), threads=1)
        except InvalidModel:
            count("networks", "refused")
            return
        try:
            backend.warm_up()
            count("networks", "ran")
        except ModelFailure:
            count("networks", "failed")
        finally:
            backend.close()


shapes = st.just([1, 2]) | st.lists(st.integers(-3, 5) | st.integers(-(2**62), 2**62), max_size=5)
tensors = st.builds(
    lambda name, datatype, shape, floats: pb.ModelInferResponse.InferOutputTensor(
        name=name,
        datatype=datatype,
        shape=shape,
        contents=pb.InferTensorContents(fp32_contents=floats),
    ),
    st.just("y") | st.sampled_from(["z", ""]),
    st.just("FP32") | st.sampled_from([*DTYPES, "", "FP9"]),
    shapes,
    st.just([1.0, 2.0]) | st.lists(st.floats(width=32), max_size=6),
)
replies = st.builds(
    lambda outputs, raws: pb.ModelInferResponse(outputs=outputs, raw_output_contents=raws),
    st.lists(tensors, min_size=1, max_size=3),
    st.just([]) | st.just([bytes(8)]) | st.lists(st.binary(max_size=40), max_size=3),
)


@given(reply=replies)
def test_an_answer_of_another_server_is_read_or_a_failure(reply: pb.ModelInferResponse) -> None:
    try:
        given = outputs_of(reply, ("y",))
    except ModelFailure:
        count("answers", "failed")
        return
    count("answers", "read")
    assert list(given) == ["y"]
    said = [tensor for tensor in reply.outputs if tensor.name == "y"]
    assert given["y"].shape in [tuple(tensor.shape) for tensor in said]
    assert given["y"].dtype in [DTYPES[tensor.datatype] for tensor in said]


texts = st.text(max_size=30) | st.sampled_from(
    ["coco", "yolov8", "nan", "-1", "1e400", "8, 16", "[[[[", "true", "grpcs://x:1", "0.5"]
)
keys = st.sampled_from(
    [
        "task",
        "head",
        "names",
        "nms_iou",
        "pad",
        "size",
        "strides",
        "input_layout",
        "letterbox",
        "address",
        "timeout_s",
        "tls",
        "remote_model",
        "remote_version",
    ]
)


@pytest.mark.parametrize("read", [read_declared, read_remote])
@given(said=st.dictionaries(keys, texts, max_size=3))
def test_parameters_are_read_or_named(
    read: Callable[[ModelConfig], object], said: dict[str, str]
) -> None:
    config = ModelConfig("m", "remote", parameters={"address": "a:1"} | said)
    try:
        read(config)
    except InvalidConfig as error:
        told = str(error)
    else:
        count("parameters", "read")
        return
    count("parameters", "refused")
    assert "parameters" in told


SOUND = {
    "file": "model.int8.onnx",
    "sha256": "0" * 64,
    "base": "model.onnx",
    "base_sha256": "1" * 64,
    "f1": 0.97,
    "min_f1": 0.95,
    "score": 0.3,
    "images": 30,
    "boxes": 200,
    "speed": 2.0,
    "provider": "CPU",
    "left_out": 29,
    "tools": {"onnx": "1"},
    "made": "2026-01-01T00:00:00+00:00",
}
values = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
documents = st.dictionaries(
    st.sampled_from([*SOUND, "more"]), values | st.lists(values, max_size=2), max_size=2
).map(lambda changed: {"variants": {"int8": {**SOUND, **changed}}})


@given(
    data=st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()),
    kept=st.just(1.0) | st.floats(0, 1),
)
def test_a_record_is_read_or_refused(data: bytes, kept: float) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / RECORD).write_bytes(data[: int(kept * len(data))])
        try:
            record = read_record(Path(folder))
        except InvalidModel:
            count("records", "refused")
            return
        count("records", "read")
        assert all(0 <= measured.f1 <= 1 for measured in record.variants.values())


@given(
    dtype=st.sampled_from(["float32", "int64"])
    | st.sampled_from(sorted(set(map(str, DTYPES.values())))),
    shape=st.sampled_from([[2, 4], [2, 1]]) | st.lists(st.integers(0, 4), max_size=4),
    name=st.sampled_from(["a", "b", "index", "c"]),
)
def test_tensors_of_any_kind_are_refused_or_run(dtype: str, shape: list[int], name: str) -> None:
    backend = arithmetic_backend()
    inputs = {
        "a": np.ones((2, 4), np.float32),
        "b": np.ones((2, 4), np.float32),
        "index": np.zeros((2, 1), np.int64),
    }
    inputs[name] = np.zeros(shape, dtype)
    try:
        backend.run(inputs)
        count("tensors", "ran")
    except InvalidInput:
        count("tensors", "refused")


@lru_cache(maxsize=1)
def arithmetic_backend() -> Backend:
    with TemporaryDirectory() as folder:
        path = write_arithmetic_model(Path(folder) / "model.onnx")
        return open_backend(Release(ModelConfig("m", "onnxruntime"), "1", path), threads=1)
