"""Health, metadata, repository and statistics of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from support.inference import FakeEngine, inference_stub

from secondlook.cloud.access import Access, device
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import model_config_pb2 as config_pb

pytestmark = pytest.mark.anyio


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code


async def test_the_server_says_what_it_is_and_how_it_is() -> None:
    async with inference_stub(FakeEngine()) as stub:
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
        told = await stub.ServerMetadata(pb.ServerMetadataRequest())
    assert (told.name, told.version) == ("secondlook", "0.0-test")
    assert "model_repository" in told.extensions
    assert "system_shared_memory" not in told.extensions
    async with inference_stub(FakeEngine(), ready=False) as stub:
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert not (await stub.ServerReady(pb.ServerReadyRequest())).ready


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [
        ("mlp", "", True),
        ("mlp", "2", True),
        ("mlp", "9", False),
        ("eyes.detect", "", True),
        ("eyes.detect", "1", True),
        ("eyes.detect", "2", False),
        ("mlp.detect", "", False),
        ("broken", "", False),
        ("nobody", "", False),
    ],
)
async def test_readiness_is_by_name_and_version(name: str, version: str, ready: bool) -> None:
    async with inference_stub(FakeEngine()) as stub:
        told = await stub.ModelReady(pb.ModelReadyRequest(name=name, version=version))
        assert told.ready is ready
        asked = pb.ModelMetadataRequest(name=name, version=version)
        if not ready:
            assert await code_of(stub.ModelMetadata(asked)) is grpc.StatusCode.NOT_FOUND
            config = stub.ModelConfig(pb.ModelConfigRequest(name=name, version=version))
            assert await code_of(config) is grpc.StatusCode.NOT_FOUND
        else:
            assert (await stub.ModelMetadata(asked)).name == name


async def test_metadata_has_the_batch_axis_and_the_versions() -> None:
    async with inference_stub(FakeEngine()) as stub:
        told = await stub.ModelMetadata(pb.ModelMetadataRequest(name="mlp"))
        assert list(told.versions) == ["1", "2"]
        assert told.platform == "onnxruntime_onnx"
        assert [(t.name, t.datatype, list(t.shape)) for t in told.inputs] == [
            ("x", "FP32", [-1, 4])
        ]
        one = await stub.ModelMetadata(pb.ModelMetadataRequest(name="mlp", version="1"))
        assert list(one.versions) == ["1"]
        plain = await stub.ModelMetadata(pb.ModelMetadataRequest(name="identity_FP32"))
        assert list(plain.inputs[0].shape) == [-1]
        face = await stub.ModelMetadata(pb.ModelMetadataRequest(name="eyes.detect"))
        assert face.platform == "secondlook_detect"
        assert [(t.name, t.datatype, list(t.shape)) for t in face.outputs] == [
            ("boxes", "FP32", [-1, 4]),
            ("scores", "FP32", [-1]),
            ("classes", "INT32", [-1]),
            ("labels", "BYTES", [-1]),
        ]


async def test_a_configuration_is_whole_also_where_it_was_derived() -> None:
    async with inference_stub(FakeEngine()) as stub:
        told = (await stub.ModelConfig(pb.ModelConfigRequest(name="mlp"))).config
        assert (told.name, told.max_batch_size) == ("mlp", 8)
        assert told.input[0].data_type == config_pb.TYPE_FP32
        assert list(told.output[0].dims) == [4]
        face = (await stub.ModelConfig(pb.ModelConfigRequest(name="eyes.detect"))).config
        assert (face.platform, face.max_batch_size) == ("secondlook_detect", 0)
        assert [tensor.optional for tensor in face.input] == [False, True]
        assert face.input[0].data_type == config_pb.TYPE_STRING


async def test_the_index_has_states_reasons_and_the_faces_of_detectors() -> None:
    async with inference_stub(FakeEngine()) as stub:
        told = await stub.RepositoryIndex(pb.RepositoryIndexRequest())
        ready = await stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    models = {(m.name, m.version): (m.state, m.reason) for m in told.models}
    assert models["mlp", "1"] == ("READY", "")
    assert models["broken", "3"] == ("UNAVAILABLE", "the file is cut short")
    assert models["eyes.detect", "1"] == ("READY", "")
    assert ("mlp.detect", "1") not in models
    assert {m.name for m in told.models} - {m.name for m in ready.models} == {"broken"}


async def test_statistics_are_the_engines() -> None:
    async with inference_stub(FakeEngine()) as stub:
        asked = pb.ModelStatisticsRequest(name="mlp", version="1")
        (told,) = (await stub.ModelStatistics(asked)).model_stats
        assert (told.name, told.version, told.inference_count) == ("mlp", "1", 3)
        assert (told.inference_stats.success.count, told.inference_stats.success.ns) == (
            3,
            1_500_000_000,
        )
        assert told.batch_stats[0].batch_size == 2
        assert told.batch_stats[0].compute_infer.ns == 250_000_000
        face = await stub.ModelStatistics(pb.ModelStatisticsRequest(name="eyes.detect"))
        assert face.model_stats[0].name == "eyes.detect"
        unknown = stub.ModelStatistics(pb.ModelStatisticsRequest(name="nobody"))
        assert await code_of(unknown) is grpc.StatusCode.NOT_FOUND


def load(name: str, **parameters: Any) -> pb.RepositoryModelLoadRequest:
    asked = pb.RepositoryModelLoadRequest(model_name=name)
    for key, value in parameters.items():
        asked.parameters[key].CopyFrom(value)
    return asked


async def test_models_are_loaded_and_unloaded() -> None:
    engine = FakeEngine()
    config = pb.ModelRepositoryParameter(string_param='{"maxBatchSize": 2}')
    async with inference_stub(engine) as stub:
        await stub.RepositoryModelLoad(load("mlp"))
        await stub.RepositoryModelLoad(load("mlp", config=config))
        await stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="mlp"))
    assert engine.loaded == [("mlp", None), ("mlp", '{"maxBatchSize": 2}')]
    assert engine.unloaded == ["mlp"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (load("nobody"), grpc.StatusCode.NOT_FOUND),
        (load("broken"), grpc.StatusCode.INVALID_ARGUMENT),
        (load(""), grpc.StatusCode.INVALID_ARGUMENT),
        (load("eyes.detect"), grpc.StatusCode.INVALID_ARGUMENT),
        (
            load("mlp", config=pb.ModelRepositoryParameter(string_param="{")),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            load("mlp", **{"file:1/model.onnx": pb.ModelRepositoryParameter(bytes_param=b"x")}),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ],
)
async def test_what_cannot_be_loaded_is_said(
    asked: pb.RepositoryModelLoadRequest, code: grpc.StatusCode
) -> None:
    engine = FakeEngine()
    async with inference_stub(engine) as stub:
        assert await code_of(stub.RepositoryModelLoad(asked)) is code
        gone = pb.RepositoryModelUnloadRequest(model_name="nobody")
        assert await code_of(stub.RepositoryModelUnload(gone)) is grpc.StatusCode.NOT_FOUND
    assert not engine.loaded


async def test_only_who_speaks_for_everything_may_change_models() -> None:
    engine = FakeEngine()

    class Known(Access):
        def caller(self, certificate: Any) -> Any:
            return device("north", ("site/*",), ())

    async with inference_stub(engine, access=Known([])) as stub:
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert await code_of(stub.RepositoryModelLoad(load("mlp"))) is (
            grpc.StatusCode.PERMISSION_DENIED
        )
    assert not engine.loaded


async def test_strangers_are_told_nothing_but_that_the_service_lives() -> None:
    access = Access([device("north", ("site/*",), ())])
    async with inference_stub(FakeEngine(), access=access) as stub:
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        for call in (
            stub.ModelReady(pb.ModelReadyRequest(name="mlp")),
            stub.ModelMetadata(pb.ModelMetadataRequest(name="mlp")),
            stub.ModelConfig(pb.ModelConfigRequest(name="mlp")),
            stub.ModelStatistics(pb.ModelStatisticsRequest(name="mlp")),
            stub.RepositoryIndex(pb.RepositoryIndexRequest()),
        ):
            assert await code_of(call) is grpc.StatusCode.PERMISSION_DENIED
