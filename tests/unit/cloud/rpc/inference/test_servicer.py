"""The Open Inference Protocol over a real loopback connection, with an engine that is a fake."""

from __future__ import annotations

import struct
from typing import Any

import anyio
import cv2
import grpc
import grpc.aio
import numpy as np
import pytest
from support.inference import FakeEngine, inference_server, inference_stub
from support.waiting import eventually

from secondlook.cloud.access import Access, device
from secondlook.cloud.engine.asking import Priority
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    ModelFailure,
    Overloaded,
    SecondlookError,
    Unavailable,
)

pytestmark = pytest.mark.anyio

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def asked(array: np.ndarray[Any, Any] = X, model: str = "mlp", **fields: Any) -> Any:
    request = pb.ModelInferRequest(model_name=model, **fields)
    request.inputs.add(name="x", datatype="FP32", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    return request


def picture(extension: str = ".png") -> bytes:
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:20, 20:40] = (0, 255, 0)
    done, data = cv2.imencode(extension, image)
    assert done
    return data.tobytes()


def element(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def detect(data: bytes, model: str = "eyes.detect", **fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=[element(data)], **fields)
    request.inputs.add(name="image", datatype="BYTES", shape=[1])
    return request


async def status(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_question_is_answered_by_the_version_that_ran() -> None:
    async with inference_stub(FakeEngine(reason="share")) as stub:
        reply = await stub.ModelInfer(asked(id="7"))
        assert (reply.model_name, reply.model_version, reply.id) == ("mlp", "2", "7")
        assert reply.raw_output_contents[0] == X.tobytes()
        assert list(reply.outputs[0].shape) == [2, 4]
        assert reply.parameters["variant"].string_param == "fp32"
        assert reply.parameters["reason"].string_param == "share"
        assert (await stub.ModelInfer(asked(model_version="1"))).model_version == "1"


async def test_what_a_request_says_beside_its_tensors_reaches_the_engine() -> None:
    engine = FakeEngine()
    request = asked(id="q1")
    request.parameters["priority"].uint64_param = 3
    request.parameters["timeout"].int64_param = 2_000_000
    request.parameters["tenant"].string_param = "north"
    request.parameters["camera"].string_param = "gate/1"
    request.parameters["something"].double_param = 1.5
    async with inference_stub(engine) as stub:
        await stub.ModelInfer(request, timeout=100)
        await stub.ModelInfer(asked(), timeout=10)
        await stub.ModelInfer(asked())
    first, second, third = engine.asked
    assert (first.tenant, first.camera, first.request_id) == ("north", "gate/1", "q1")
    assert [ask.priority for ask in engine.asked] == [Priority.LEARNING, *[Priority.ESCALATION] * 2]
    now_s = SystemClock().monotonic()
    assert first.deadline.at_s <= now_s + 2
    # gRPC rounds what is left of a deadline.
    assert second.deadline.at_s <= now_s + 20
    # The service's own, where a call brings none.
    assert third.deadline.at_s <= now_s + 30


@pytest.mark.parametrize(
    ("level", "priority"), [(0, Priority.ESCALATION), (1, Priority.ESCALATION), (2, Priority.AUDIT)]
)
async def test_priorities_are_as_the_protocol_counts_them(level: int, priority: Priority) -> None:
    engine = FakeEngine()
    request = asked()
    request.parameters["priority"].uint64_param = level
    async with inference_stub(engine) as stub:
        await stub.ModelInfer(request)
    assert engine.asked[0].priority is priority


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sequence_id", pb.InferParameter(int64_param=4)),
        ("priority", pb.InferParameter(string_param="high")),
        ("timeout", pb.InferParameter(int64_param=-1)),
        ("tenant", pb.InferParameter(int64_param=1)),
        ("camera", pb.InferParameter(string_param="c" * 200)),
    ],
)
async def test_parameters_that_cannot_be_are_refused(name: str, value: pb.InferParameter) -> None:
    request = asked()
    request.parameters[name].CopyFrom(value)
    async with inference_stub(FakeEngine()) as stub:
        error = await status(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert name in str(error.details())


@pytest.mark.parametrize(
    ("request_", "code", "word"),
    [
        (asked(model="nobody"), grpc.StatusCode.NOT_FOUND, "nobody"),
        (asked(model_version="9"), grpc.StatusCode.NOT_FOUND, "9"),
        (asked(model="n" * 100_000), grpc.StatusCode.NOT_FOUND, "nnn"),
        (asked(model=""), grpc.StatusCode.INVALID_ARGUMENT, "model_name is missing"),
        (asked(id="i" * 1000), grpc.StatusCode.INVALID_ARGUMENT, "id has 1000"),
        (asked(X[:, :3]), grpc.StatusCode.INVALID_ARGUMENT, "shape [2, 3]"),
        (asked(np.zeros((9, 4), np.float32)), grpc.StatusCode.INVALID_ARGUMENT, "1 to 8 rows"),
        (asked(X.astype(np.float64)), grpc.StatusCode.INVALID_ARGUMENT, "has 64 bytes"),
    ],
)
async def test_wrong_questions_get_the_right_status(
    request_: pb.ModelInferRequest, code: grpc.StatusCode, word: str
) -> None:
    async with inference_stub(FakeEngine()) as stub:
        error = await status(stub.ModelInfer(request_))
    assert error.code() is code
    assert word in str(error.details())
    assert len(str(error.details())) <= 1024


@pytest.mark.parametrize(
    ("error", "code", "retry_ms"),
    [
        (Overloaded("full", retry_after_s=0.25), grpc.StatusCode.RESOURCE_EXHAUSTED, "250"),
        (Overloaded("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, None),
        (Unavailable("draining"), grpc.StatusCode.UNAVAILABLE, None),
        (Unavailable("open", retry_after_s=1.5), grpc.StatusCode.UNAVAILABLE, "1500"),
        (DeadlineExceeded("late"), grpc.StatusCode.DEADLINE_EXCEEDED, None),
        (ModelFailure("NaN in row 3"), grpc.StatusCode.INTERNAL, None),
        (RuntimeError("secret"), grpc.StatusCode.INTERNAL, None),
    ],
)
async def test_errors_of_the_engine_are_statuses(
    error: Exception, code: grpc.StatusCode, retry_ms: str | None
) -> None:
    engine = FakeEngine(error=error)
    async with inference_stub(engine) as stub:
        told = await status(stub.ModelInfer(asked()))
        assert told.code() is code
        assert dict(told.trailing_metadata()).get("grpc-retry-pushback-ms") == retry_ms
        if not isinstance(error, SecondlookError):
            assert "secret" not in str(told.details())
        engine.error = None
        assert (await stub.ModelInfer(asked())).model_version == "2"


async def test_bytes_that_are_no_message_are_the_callers_mistake() -> None:
    async with (
        inference_server(FakeEngine()) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        error = await status(call(b"\xff\xff\xff"))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_not_offered_is_unimplemented() -> None:
    async with (
        inference_server(FakeEngine()) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = channel.unary_unary("/inference.GRPCInferenceService/SystemSharedMemoryStatus")
        assert (await status(call(b""))).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp"])
async def test_a_detector_takes_pictures(extension: str) -> None:
    engine = FakeEngine()
    request = detect(picture(extension), id="p")
    request.inputs.add(name="min_score", datatype="FP32", shape=[1])
    request.raw_input_contents.append(np.float32(0.5).tobytes())
    async with inference_stub(engine) as stub:
        reply = await stub.ModelInfer(request)
    assert (reply.model_name, reply.model_version, reply.id) == ("eyes.detect", "1", "p")
    assert [(o.name, o.datatype, list(o.shape)) for o in reply.outputs] == [
        ("boxes", "FP32", [1, 4]),
        ("scores", "FP32", [1]),
        ("classes", "INT32", [1]),
        ("labels", "BYTES", [1]),
    ]
    boxes = np.frombuffer(reply.raw_output_contents[0], np.float32)
    assert np.abs(boxes - [20, 10, 40, 20]).max() <= 4  # lossy encodings bleed
    assert reply.raw_output_contents[3] == element(b"car")
    image, min_score = engine.seen[0]
    assert image.shape == (48, 64, 3)
    assert min_score == 0.5
    assert engine.asked[0].model == "eyes"


async def test_a_picture_without_objects_has_empty_outputs() -> None:
    done, blank = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    assert done
    request = detect(blank.tobytes())
    request.outputs.add(name="labels")
    request.outputs.add(name="boxes")
    async with inference_stub(FakeEngine()) as stub:
        reply = await stub.ModelInfer(request)
    assert [(o.name, list(o.shape)) for o in reply.outputs] == [("labels", [0]), ("boxes", [0, 4])]
    assert list(reply.raw_output_contents) == [b"", b""]


def _bomb() -> bytes:
    whole = bytearray(picture())
    whole[16:24] = struct.pack(">II", 4000, 4000)
    return bytes(whole)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no JPEG, PNG or WebP"),
        (b"GIF89a" + bytes(100), "no JPEG, PNG or WebP"),
        (picture()[:-20], "cut short"),
        (picture(".jpg")[:-2], "cut short"),
        (picture(".webp")[:-9], "cut short"),
        (_bomb(), "at most 1000000 pixels"),
        (b"\xff\xd8\xff\xd9", "jpeg"),
    ],
)
async def test_malformed_pictures_are_refused(data: bytes, word: str) -> None:
    engine = FakeEngine()
    async with inference_stub(engine) as stub:
        error = await status(stub.ModelInfer(detect(data)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert word in str(error.details())
    assert not engine.seen


async def test_a_detector_is_asked_for_by_its_own_name_and_version() -> None:
    async with inference_stub(FakeEngine()) as stub:
        for request in (
            detect(picture(), "mlp.detect"),
            detect(picture(), "eyes.detect", model_version="5"),
            detect(picture(), ".detect.detect"),
        ):
            error = await status(stub.ModelInfer(request))
            assert error.code() is grpc.StatusCode.NOT_FOUND
        two = detect(picture())
        two.inputs[0].shape[:] = [2]
        two.raw_input_contents[0] *= 2
        score = detect(picture())
        score.inputs.add(name="min_score", datatype="FP32", shape=[1])
        score.raw_input_contents.append(np.float32("nan").tobytes())
        for request in (two, score, pb.ModelInferRequest(model_name="eyes.detect")):
            error = await status(stub.ModelInfer(request))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_late_picture_is_not_decoded() -> None:
    engine = FakeEngine()
    request = detect(picture())
    request.parameters["timeout"].int64_param = 1
    async with inference_stub(engine) as stub:
        error = await status(stub.ModelInfer(request))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not engine.asked


async def test_more_pictures_than_may_wait_are_refused_at_once() -> None:
    async with inference_stub(FakeEngine(), max_pending=0) as stub:
        error = await status(stub.ModelInfer(detect(picture())))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_answers_each_request_and_an_error_is_its_own() -> None:
    engine = FakeEngine()
    async with inference_stub(engine) as stub:
        call = stub.ModelStreamInfer()
        await call.write(asked(id="1"))
        await call.write(asked(id="2", model="nobody"))
        await call.write(asked(id="3"))
        await call.done_writing()
        replies = {reply.infer_response.id: reply async for reply in call}
        assert await call.code() is grpc.StatusCode.OK
    assert set(replies) == {"1", "2", "3"}
    assert replies["1"].error_message == replies["3"].error_message == ""
    assert "nobody" in replies["2"].error_message
    assert replies["2"].infer_response.parameters["status"].string_param == "NOT_FOUND"
    assert "triton_final_response" not in replies["1"].infer_response.parameters


async def test_a_failed_request_of_a_stream_says_when_to_ask_again() -> None:
    async with inference_stub(FakeEngine(error=Overloaded("full", retry_after_s=0.1))) as stub:
        call = stub.ModelStreamInfer()
        await call.write(asked(id="1"))
        reply = await call.read()
        call.cancel()
    told = reply.infer_response.parameters
    assert told["status"].string_param == "RESOURCE_EXHAUSTED"
    assert told["retry_after_ms"].int64_param == 100


async def test_the_last_reply_is_marked_for_who_asks() -> None:
    request = asked(id="1")
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    async with inference_stub(FakeEngine()) as stub:
        call = stub.ModelStreamInfer()
        await call.write(request)
        reply = await call.read()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
    assert reply.infer_response.parameters["triton_final_response"].bool_param


async def test_a_stream_works_on_no_more_than_it_may_and_on_all_of_it() -> None:
    engine = FakeEngine(gate=anyio.Event())
    assert engine.gate is not None
    async with inference_stub(engine) as stub:
        call = stub.ModelStreamInfer()
        for place in range(100):
            await call.write(asked(id=str(place)))
        await eventually(lambda: engine.waiting == 64)
        engine.gate.set()
        await call.done_writing()
        ids = {reply.infer_response.id async for reply in call}
    assert ids == {str(place) for place in range(100)}
    assert engine.most_waiting == 64


async def test_two_requests_of_a_stream_do_not_wait_for_each_other() -> None:
    # The second comes while the first one's worker has not begun: it must not count on that worker.
    engine = FakeEngine(gate=anyio.Event())
    assert engine.gate is not None
    async with inference_stub(engine) as stub:
        call = stub.ModelStreamInfer()
        for place in range(3):
            await call.write(asked(id=str(place)))
        await eventually(lambda: engine.waiting == 3)
        engine.gate.set()
        await call.done_writing()
        assert len([reply async for reply in call]) == 3


async def test_a_stream_that_is_cancelled_leaves_nothing_behind() -> None:
    engine = FakeEngine(gate=anyio.Event())
    async with inference_stub(engine) as stub:
        call = stub.ModelStreamInfer()
        await call.write(asked())
        await eventually(lambda: engine.waiting == 1)
        call.cancel()
        await eventually(lambda: engine.waiting == 0)


async def test_a_drain_answers_what_a_stream_has_read_and_then_ends_it() -> None:
    engine = FakeEngine(gate=anyio.Event())
    assert engine.gate is not None
    async with (
        inference_server(engine) as (port, boundary),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = pb_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
        await call.write(asked(id="1"))
        await eventually(lambda: engine.waiting == 1)
        boundary.drain()
        engine.gate.set()
        reply = await call.read()
        assert reply.infer_response.id == "1"
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_noise_in_a_stream_ends_it_after_what_came_before() -> None:
    async with (
        inference_server(FakeEngine()) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )()
        await call.write(asked(id="1").SerializeToString())
        await call.write(b"\xff\xff\xff")
        reply = await call.read()
        assert reply.infer_response.id == "1"
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_certificate_decides_for_whom_one_asks() -> None:
    # Without a certificate nobody is known: the call is refused before the engine hears of it.
    engine = FakeEngine()
    access = Access([device("north", ("site/*",), ())])
    async with inference_stub(engine, access=access) as stub:
        error = await status(stub.ModelInfer(asked()))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        load = pb.RepositoryModelLoadRequest(model_name="mlp")
        error = await status(stub.RepositoryModelLoad(load))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert not engine.asked
    assert not engine.loaded
