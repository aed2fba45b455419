"""What a model on another server adds: addresses, refusals, answers that cannot be, connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.networks_raw import arithmetic, write_arithmetic_model
from support.oip_server import OipServer, oip_server

from secondlook.cloud.backends import open_backend
from secondlook.cloud.backends.remote_client import Remote, read_remote
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    InvalidInput,
    InvalidModel,
    ModelFailure,
    Overloaded,
    SecondlookError,
    Unavailable,
)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Backend]:
    path = write_arithmetic_model(tmp_path / "model.onnx")
    backend = open_backend(Release(ModelConfig("m", "onnxruntime"), "1", path), threads=1)
    yield backend
    backend.close()


@pytest.fixture
def server(local: Backend) -> Iterator[OipServer]:
    with oip_server("there", local) as running:
        yield running


def release(address: str, **options: Any) -> Release:
    said = {"address": address, "remote_model": "there"} | options.pop("parameters", {})
    return Release(ModelConfig("here", "remote", parameters=said, **options), "1", Path("/nowhere"))


@pytest.fixture
def backend(server: OipServer) -> Iterator[Backend]:
    opened = open_backend(release(server.address))
    yield opened
    opened.close()


def feed(rows: int = 2) -> dict[str, np.ndarray]:
    return {
        "a": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
        "b": np.ones((rows, 4), np.float32),
        "index": np.zeros((rows, 1), np.int64),
    }


def check(backend: Backend) -> None:
    x = feed()
    for name, array in arithmetic(**x).items():
        np.testing.assert_array_equal(backend.run(x)[name], array)


def test_the_server_says_how_many_rows_it_takes(server: OipServer, backend: Backend) -> None:
    assert backend.signature == server.backend.signature
    assert backend.device == server.address
    assert backend.memory_bytes == 0


def test_a_server_that_does_not_tell_is_asked_with_what_its_shapes_say(local: Backend) -> None:
    with oip_server("there", local, tells_config=False) as server:
        opened = open_backend(release(server.address))
        assert opened.signature.max_batch == 16
        check(opened)
        opened.close()


def test_a_configuration_wins_and_is_checked(server: OipServer) -> None:
    opened = open_backend(release(server.address, max_batch=3))
    assert opened.signature.max_batch == 3
    with pytest.raises(InvalidInput):
        opened.run(feed(4))
    assert server.calls == []
    opened.close()
    with pytest.raises(InvalidModel, match="FP64"):
        open_backend(release(server.address, max_batch=3, inputs=(TensorSpec("a", "FP64", (4,)),)))


def test_only_the_outputs_that_are_wanted_travel(server: OipServer, backend: Backend) -> None:
    assert set(backend.run(feed(), ["ratio"])) == {"ratio"}
    assert [output.name for output in server.calls[-1].outputs] == ["ratio"]
    assert server.calls[-1].model_name == "there"


STATUSES = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.NOT_FOUND: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: Unavailable,
    grpc.StatusCode.PERMISSION_DENIED: Unavailable,
    grpc.StatusCode.UNAUTHENTICATED: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.INTERNAL: ModelFailure,
    grpc.StatusCode.UNKNOWN: ModelFailure,
    grpc.StatusCode.ABORTED: ModelFailure,
    grpc.StatusCode.DATA_LOSS: ModelFailure,
}


@pytest.mark.parametrize("code", STATUSES, ids=lambda code: code.name)
def test_every_refusal_becomes_an_error_of_ours(
    server: OipServer, backend: Backend, code: grpc.StatusCode
) -> None:
    server.refuse = code
    with pytest.raises(SecondlookError, match="there") as told:
        backend.run(feed())
    assert type(told.value) is STATUSES[code]
    server.refuse = None
    check(backend)


def _drop(reply: pb.ModelInferResponse) -> None:
    del reply.outputs[0]
    del reply.raw_output_contents[0]


def _typed(reply: pb.ModelInferResponse) -> None:
    """As servers answer that send no raw contents."""
    for tensor, raw in zip(reply.outputs, reply.raw_output_contents, strict=True):
        tensor.contents.fp32_contents.extend(np.frombuffer(raw, np.float32).tolist())
    del reply.raw_output_contents[:]


def _set(**fields: Any) -> Any:
    def spoil(reply: pb.ModelInferResponse) -> None:
        for name, value in fields.items():
            if name == "shape":
                del reply.outputs[0].shape[:]
                reply.outputs[0].shape.extend(value)
            else:
                setattr(reply.outputs[0], name, value)

    return spoil


SPOILERS: dict[str, Any] = {
    "an output less": _drop,
    "contents less": lambda reply: reply.raw_output_contents.pop(),
    "contents cut": lambda reply: reply.raw_output_contents.__setitem__(0, b"abc"),
    "another shape": _set(shape=[2, 3]),
    "other rows": _set(shape=[4, 2]),
    "a shape that cannot be": _set(shape=[-2, 4]),
    "a type that is none": _set(datatype="FP9"),
    "another type": _set(datatype="INT32"),
    "another name": _set(name="sums"),
    "nothing": lambda reply: reply.Clear(),
}


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_an_answer_that_cannot_be_is_a_failure_of_the_model(
    server: OipServer, backend: Backend, spoiler: str
) -> None:
    server.spoil = SPOILERS[spoiler]
    with pytest.raises(ModelFailure, match="here"):
        backend.run(feed())
    server.spoil = None
    check(backend)


def test_typed_contents_are_read_as_well(server: OipServer, backend: Backend) -> None:
    server.spoil = _typed
    check(backend)


def test_a_server_that_does_not_answer_in_time_is_given_up(server: OipServer) -> None:
    opened = open_backend(release(server.address, parameters={"timeout_s": "0.3"}))
    server.hold = True
    with pytest.raises(DeadlineExceeded, match=r"0\.3 s"):
        opened.run(feed())
    server.hold = False
    check(opened)
    opened.close()


def test_closing_ends_the_call_that_is_under_way(server: OipServer, backend: Backend) -> None:
    server.hold = True
    told: list[BaseException] = []

    def ask() -> None:
        try:
            backend.run(feed())
        except SecondlookError as error:
            told.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert server.held.wait(30)
    backend.close()
    thread.join(30)
    assert [type(error) for error in told] == [Unavailable]


def test_a_server_that_is_not_there_or_has_no_such_model_is_unavailable(
    server: OipServer,
) -> None:
    server.ready = False
    with pytest.raises(Unavailable, match="not ready"):
        open_backend(release(server.address))
    server.ready = True
    with pytest.raises(Unavailable, match="no model is named"):
        open_backend(release(server.address, parameters={"remote_model": "x"}))
    # A port that nobody listens on: the wait for the server ends with the timeout.
    with pytest.raises((Unavailable, DeadlineExceeded), match=r"127\.0\.0\.1:1"):
        open_backend(release("127.0.0.1:1", parameters={"timeout_s": "0.3"}))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"address": "ml1:8001"}, Remote("ml1:8001", "here")),
        ({"address": "grpc://ml1:8001"}, Remote("ml1:8001", "here")),
        ({"address": "grpcs://ml1:8001"}, Remote("ml1:8001", "here", tls=True)),
        ({"address": "a:1", "tls": "true"}, Remote("a:1", "here", tls=True)),
        ({"address": "grpcs://a:1", "tls": "false"}, Remote("a:1", "here")),
        (
            {"address": "a:1", "tls": "/ca.pem"},
            Remote("a:1", "here", tls=True, authority=Path("/ca.pem")),
        ),
        (
            {"address": "a:1", "remote_model": "x", "remote_version": "4", "timeout_s": "2"},
            Remote("a:1", "x", "4", 2.0),
        ),
    ],
)
def test_parameters_say_where_it_is(said: dict[str, str], expected: Remote) -> None:
    assert read_remote(ModelConfig("here", "remote", parameters=said)) == expected


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"address": "  "},
        {"address": "http://a:1"},
        {"address": "a:1", "timeout_s": "soon"},
        {"address": "a:1", "timeout_s": "0"},
        {"address": "a:1", "timeout_s": "nan"},
        {"address": "a:1", "timeout_s": "1e9"},
    ],
)
def test_parameters_that_cannot_be_are_named(said: dict[str, str]) -> None:
    with pytest.raises(InvalidConfig, match="parameters"):
        read_remote(ModelConfig("here", "remote", parameters=said))


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"nothing\.pem"):
        open_backend(release("a:1", parameters={"tls": str(tmp_path / "nothing.pem")}))
