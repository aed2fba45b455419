"""Configurations survive every form; bytes that are none are refused, and nothing worse."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf import json_format, text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_tree import ModelTree
from support.mutation import CONFIGS, SCRAPS, mutated

from secondlook.cloud.engine.tensors import DTYPES, TensorSpec
from secondlook.cloud.repository.config import (
    Batching,
    InstanceGroup,
    ModelConfig,
    VersionPolicy,
)
from secondlook.cloud.repository.digests import SUMS, read_sums
from secondlook.cloud.repository.findings import FaultyConfig
from secondlook.cloud.repository.forms import Written, from_json, from_text, from_toml
from secondlook.cloud.repository.layout import list_folder
from secondlook.cloud.repository.places import Places
from secondlook.cloud.repository.proto import from_proto, to_proto
from secondlook.cloud.repository.reading import Reader
from secondlook.cloud.repository.variants import RECORD, read_record
from secondlook.shared.errors import InvalidModel

names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
# Anything a file may hold: quotes, brackets, comments, other scripts.
labels = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
specs = st.builds(
    TensorSpec,
    name=labels,
    dtype=st.sampled_from(sorted(DTYPES)),
    shape=st.lists(st.sampled_from([-1, 1, 3, 640]), max_size=3).map(tuple),
)
tensors = st.lists(specs, max_size=3, unique_by=lambda spec: spec.name).map(tuple)
policies = st.one_of(
    st.builds(VersionPolicy, latest=st.integers(1, 256)),
    st.just(VersionPolicy(everything=True)),
    st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=4, unique=True).map(
        lambda versions: VersionPolicy(specific=tuple(versions))
    ),
)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    threads = draw(st.integers(0, 64))
    group = st.one_of(
        st.builds(InstanceGroup, st.integers(1, 64), st.just("cpu"), threads=st.just(threads)),
        st.builds(
            InstanceGroup,
            st.integers(1, 64),
            st.sampled_from(["auto", "gpu"]),
            st.lists(st.integers(0, 7), max_size=3, unique=True).map(tuple),
            st.just(threads),
        ),
    )
    max_batch = draw(st.integers(0, 4096))
    batching = st.builds(
        Batching,
        st.lists(st.integers(1, max_batch or 1), max_size=3).map(tuple),
        st.integers(0, 10**7).map(lambda us: us / 1e6),
        st.integers(0, 65_536),
    )
    versions = draw(policies)
    shared = st.sampled_from([str(v) for v in versions.specific] or ["1", "2", str(2**63 - 1)])
    keys = names.map(lambda name: f"x-{name}")
    return ModelConfig(
        name=draw(names),
        backend=draw(st.sampled_from(["", "onnxruntime", "pytorch", "ultralytics"])),
        max_batch=max_batch,
        inputs=draw(tensors),
        outputs=draw(tensors),
        filename=draw(st.sampled_from(["", "model.onnx", "yolo-v8_s.pt"])),
        versions=versions,
        instances=tuple(draw(st.lists(group, min_size=1, max_size=3))),
        batching=draw(st.none() | batching),
        objective_s=draw(st.none() | st.integers(1, 600_000).map(lambda ms: ms / 1e3)),
        variants=draw(st.dictionaries(names.map(str.lower), names.map(lambda n: f"{n}.onnx"))),
        shares=draw(st.dictionaries(shared, st.floats(1e-3, 1e3))),
        parameters=draw(st.dictionaries(keys, labels)),
    )


@settings(max_examples=50)
@given(configs())
def test_a_configuration_survives_every_form(config: ModelConfig) -> None:
    message = to_proto(config)
    found = from_proto(message)
    assert found.issues == ()
    assert found.config == config
    text = text_format.MessageToString(message, as_utf8=True)
    assert from_text(text.encode(), "config.pbtxt").message == message
    said = json_format.MessageToJson(message, preserving_proto_field_name=True)
    assert from_json(said, "load").message == message
    # Every field that was written has a line, and it is a line of the file.
    places = Places(text)
    for place in range(len(config.inputs)):
        line = places.line(f"input[{place}].name")
        assert line is not None
        assert "name: " in text.split("\n")[line - 1]


def attempt(
    parse: Callable[[bytes, str], Written], data: bytes
) -> tuple[Written | None, FaultyConfig | None]:
    try:
        return parse(data, "config"), None
    except FaultyConfig as error:
        return None, error


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (from_text, from_toml):
        written, faulty = attempt(parse, data)
        if written is not None:
            from_proto(written.message)
        else:
            assert faulty is not None
            assert faulty.issues


@given(st.binary(max_size=300) | st.text("0123456789abcdef *\n./m\\", max_size=300).map(str.encode))
def test_any_sums_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / SUMS).write_bytes(data)
    (folder / RECORD).write_bytes(data)
    for read in (lambda: read_sums(folder, (SUMS,)), lambda: read_record(folder)):
        with suppress(InvalidModel):
            assert read() is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
fields = st.sampled_from(
    ["name", "max_batch_size", "input", "version_policy", "dynamic_batching", "parameters",
     "instance_group", "backend", "maxBatchSize", "model_warmup"]
)  # fmt: skip


@given(st.dictionaries(fields, json_values))
def test_any_json_is_read_or_refused(said: dict[str, object]) -> None:
    written, faulty = attempt(lambda data, where: from_json(data.decode(), where), dumped(said))
    if written is not None:
        from_proto(written.message)
    else:
        assert faulty is not None
        assert faulty.issues


def dumped(said: object) -> bytes:
    return json.dumps(said).encode()


def test_mutated_configurations_leave_a_neighbour_alone(tmp_path: Path) -> None:
    rng = random.Random(6)
    tree = ModelTree(tmp_path / "models")
    tree.version("good", 1)
    tree.version("bad", 1)
    reader = Reader()
    for _ in range(200):
        (tree.root / "bad" / "config.pbtxt").write_bytes(mutated(rng, CONFIGS, SCRAPS))
        bad = reader.read(list_folder(tree.root / "bad"))
        assert bad.releases or bad.findings
        assert reader.read(list_folder(tree.root / "good")).releases
