"""The committed protobuf stubs are those that `make stubs` would write."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import ROOT

PROTOS = ROOT / "protos"
SOURCES = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The oldest tools we support write stubs that every newer protobuf accepts; other tools
    # would differ in their header lines alone, so the pins are part of the test.
    assert importlib.metadata.version("grpcio-tools") == "1.71.2"
    assert importlib.metadata.version("mypy-protobuf") == "3.6.0"
    out = tmp_path_factory.mktemp("stubs")
    binaries = Path(sys.executable).parent
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{PROTOS}",
            f"--plugin=protoc-gen-mypy={binaries / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={binaries / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out={out}",
            f"--mypy_grpc_out={out}",
            *SOURCES,
        ],
        cwd=PROTOS,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return out


def test_there_are_sources() -> None:
    assert "secondlook/rpc/v1/escalation.proto" in SOURCES
    assert "secondlook/rpc/v1/context_memory.proto" in SOURCES
    assert "secondlook/oip/inference.proto" in SOURCES


@pytest.mark.parametrize("source", SOURCES)
def test_committed_stubs_are_fresh(source: str, fresh: Path) -> None:
    for suffix in SUFFIXES:
        name = source.removesuffix(".proto") + suffix
        committed = PROTOS / name
        assert committed.is_file(), f"{name} is missing: run `make stubs`"
        assert committed.read_text() == (fresh / name).read_text(), f"{name}: run `make stubs`"


def test_no_stub_has_lost_its_source() -> None:
    expected = {source.removesuffix(".proto") + suffix for source in SOURCES for suffix in SUFFIXES}
    found = {
        path.relative_to(PROTOS).as_posix()
        for suffix in SUFFIXES
        for path in PROTOS.rglob(f"*{suffix}")
    }
    assert found == expected
