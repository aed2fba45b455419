"""A repository that somebody has broken in every way: each is told, and the neighbour is served."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from support.model_tree import ModelTree, exported_program, tiny_onnx

from secondlook.cloud.repository.forms import MAX_BYTES
from secondlook.cloud.repository.repository import ModelRepository


def _links_in_circles(tree: ModelTree) -> None:
    (tree.root / "bad").mkdir()
    (tree.root / "bad" / "1").symlink_to(tree.root / "bad" / "2")
    (tree.root / "bad" / "2").symlink_to(tree.root / "bad" / "1")
    (tree.root / "bad" / "config.pbtxt").symlink_to("config.pbtxt")


def _a_link_to_itself_as_the_file(tree: ModelTree) -> None:
    (tree.root / "bad" / "1").mkdir(parents=True)
    (tree.root / "bad" / "1" / "model.onnx").symlink_to("model.onnx")


def _a_pipe_as_the_file(tree: ModelTree) -> None:
    (tree.root / "bad" / "1").mkdir(parents=True)
    os.mkfifo(tree.root / "bad" / "1" / "model.onnx")


def _a_pipe_as_the_configuration(tree: ModelTree) -> None:
    tree.version("bad", 1)
    os.mkfifo(tree.root / "bad" / "config.pbtxt")


def _a_pipe_as_the_sums(tree: ModelTree) -> None:
    tree.version("bad", 1)
    os.mkfifo(tree.root / "bad" / "1" / "SHA256SUMS")


def _a_directory_as_the_file(tree: ModelTree) -> None:
    (tree.root / "bad" / "1" / "model.onnx").mkdir(parents=True)


def _a_directory_as_the_configuration(tree: ModelTree) -> None:
    tree.version("bad", 1)
    (tree.root / "bad" / "config.pbtxt").mkdir()


def _a_huge_configuration(tree: ModelTree) -> None:
    tree.version("bad", 1)
    tree.config("bad", "#" * (MAX_BYTES + 1))


def _a_binary_configuration(tree: ModelTree) -> None:
    tree.version("bad", 1)
    (tree.root / "bad" / "config.pbtxt").write_bytes(random.Random(1).randbytes(4096))


def _a_configuration_nested_without_end(tree: ModelTree) -> None:
    tree.version("bad", 1)
    tree.config("bad", "input { reshape {" * 20_000)


def _an_empty_file(tree: ModelTree) -> None:
    tree.version("bad", 1, b"")


def _a_truncated_file(tree: ModelTree) -> None:
    tree.version("bad", 1, tiny_onnx()[: len(tiny_onnx()) // 2])


def _a_file_of_zeros(tree: ModelTree) -> None:
    tree.version("bad", 1, bytes(1 << 16))


def _a_picture(tree: ModelTree) -> None:
    tree.version("bad", 1, b"\x89PNG\r\n\x1a\n" + bytes(100))


def _an_archive_whose_parts_lie_elsewhere(tree: ModelTree) -> None:
    file = tree.file("bad", 1, "model.pt2", b"x")
    exported_program(file)
    data = bytearray(file.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    data[at + 16 : at + 20] = struct.pack("<I", 0xFFFFFF00)
    file.write_bytes(data)


def _a_file_that_promises_other_shapes(tree: ModelTree) -> None:
    tree.version("bad", 1)
    tree.config("bad", "max_batch_size: 2 output { name: 'y' data_type: TYPE_FP32 dims: 3 }")


def _a_file_outside_the_repository(tree: ModelTree) -> None:
    tree.version("bad", 1)
    tree.config("bad", "default_model_filename: '../../good/1/model.onnx'")


def _weights_outside_the_repository(tree: ModelTree) -> None:
    model = onnx.load_from_string(tiny_onnx())
    for weights in model.graph.initializer:
        weights.data_location = onnx.TensorProto.EXTERNAL
        weights.ClearField("raw_data")
        weights.external_data.add(key="location", value="../../../secret")
    (tree.root.parent / "secret").write_bytes(bytes(64))
    tree.version("bad", 1, model.SerializeToString())


def _a_version_of_zeros(tree: ModelTree) -> None:
    tree.version("bad", "00001")


def _a_version_too_large(tree: ModelTree) -> None:
    tree.version("bad", 2**63)


HOSTILE = [
    _links_in_circles,
    _a_link_to_itself_as_the_file,
    _a_pipe_as_the_file,
    _a_pipe_as_the_configuration,
    _a_pipe_as_the_sums,
    _a_directory_as_the_file,
    _a_directory_as_the_configuration,
    _a_huge_configuration,
    _a_binary_configuration,
    _a_configuration_nested_without_end,
    _an_empty_file,
    _a_truncated_file,
    _a_file_of_zeros,
    _a_picture,
    _an_archive_whose_parts_lie_elsewhere,
    _a_file_that_promises_other_shapes,
    _a_file_outside_the_repository,
    _weights_outside_the_repository,
    _a_version_of_zeros,
    _a_version_too_large,
]


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_broken_model_is_told_and_the_neighbour_is_served(
    tmp_path: Path, spoil: Callable[[ModelTree], None]
) -> None:
    tree = ModelTree(tmp_path / "models")
    tree.version("good", 1)
    models = ModelRepository([tree.root], tell=lambda finding: None)
    assert list(models.scan().offers) == ["good"]
    spoil(tree)
    assert models.poll() is None
    snapshot = models.poll()
    assert snapshot is not None
    assert list(snapshot.offers) == ["good"]
    told = [str(finding) for finding in snapshot.findings]
    assert told
    assert all(f"{tree.root}/bad" in line for line in told)
    assert all(len(line) < 2000 for line in told)
    assert models.scan() == snapshot


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("what", ["bad", "bad/1", "bad/1/model.onnx", "bad/config.pbtxt"])
def test_what_may_not_be_read(tmp_path: Path, what: str) -> None:
    tree = ModelTree(tmp_path / "models")
    tree.version("good", 1)
    tree.version("bad", 1)
    tree.config("bad", "max_batch_size: 1")
    path = tree.root / what
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        snapshot = ModelRepository([tree.root], tell=lambda finding: None).scan()
    finally:
        path.chmod(mode)
    assert list(snapshot.offers) == ["good"]
    assert any("Permission denied" in finding.reason for finding in snapshot.findings)


def test_files_that_are_mutated_are_opened_or_refused(tmp_path: Path) -> None:
    """Bytes of a good file, changed at random: never a crash, and the neighbour is served."""
    rng = random.Random(7)
    tree = ModelTree(tmp_path / "models")
    tree.version("good", 1)
    outcomes = {"offered": 0, "refused": 0}
    file = tree.file("bad", 1, "model.pt2", b"x")
    exported_program(file)
    for name, good in (("model.onnx", tiny_onnx()), ("model.pt2", file.read_bytes())):
        file.unlink()
        file = tree.file("bad", 1, name, good)
        for _ in range(200):
            data = bytearray(good)
            for _ in range(rng.choice((1, 2, 8))):
                data[rng.randrange(len(data))] = rng.randrange(256)
            file.write_bytes(data[: rng.choice((len(data), rng.randrange(1, len(data))))])
            snapshot = ModelRepository([tree.root], tell=lambda finding: None).scan()
            assert "good" in snapshot.offers
            assert ("bad" in snapshot.offers) != bool(snapshot.findings)
            outcomes["offered" if "bad" in snapshot.offers else "refused"] += 1
    print(f"model files, {sum(outcomes.values())} mutations: {outcomes}")  # noqa: T201 - the count
    assert min(outcomes.values()) > 10
