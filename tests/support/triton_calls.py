"""Every call of the official `tritonclient`, sync and asyncio, against a server that is given.

Run in a process of its own, since its stubs and ours have the same symbols::

    python triton_calls.py 127.0.0.1:50051 picture.png

The server has ``identity_<DATATYPE>`` (input ``x``, output ``y``, one axis of any length) for each
datatype, ``mlp`` (``x`` to ``y``, FP32 [4], up to 8 rows) in the versions 1 and 2, and the detector
``eyes``. Prints ``{"name of check": "" or "what went wrong"}`` as JSON.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as sync
import tritonclient.grpc.aio as aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

X = np.arange(8, dtype=np.float32).reshape(2, 4)

ARRAYS: dict[str, Any] = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 65535], np.uint16),
    "UINT32": np.array([0, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-(2**15), 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1], np.int64),
    "FP16": np.array([1.5, -np.inf, 6e-8], np.float16),
    "FP32": np.array([1.5, np.pi, -np.inf], np.float32),
    "FP64": np.array([1.5, np.pi, np.inf]),
    # The client's numpy has no such number: it takes and gives float32.
    "BF16": np.array([1.5, -2.0, 256.0], np.float32),
    # ONNX Runtime's strings are text; pictures are bytes, see `check_detect`.
    "BYTES": np.array([b"", "text ä".encode(), b"x" * 70_000], np.object_),
}


def tensor(client: Any, array: Any, datatype: str = "FP32", name: str = "x") -> Any:
    given = client.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def status_of(call: Any) -> str:
    try:
        call()
    except InferenceServerException as error:
        return str(error.status()).removeprefix("StatusCode.")
    return "OK"


async def status_of_async(call: Any) -> str:
    try:
        await call
    except InferenceServerException as error:
        return str(error.status()).removeprefix("StatusCode.")
    return "OK"


def check_health(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mlp")
    assert client.is_model_ready("mlp", "1")
    assert not client.is_model_ready("mlp", "77")
    assert not client.is_model_ready("nobody")
    assert client.is_model_ready("eyes.detect")


def check_server_metadata(client: Any) -> None:
    told = client.get_server_metadata(as_json=True)
    assert told["name"] == "secondlook"
    assert told["version"]
    assert {"model_repository", "statistics", "model_configuration"} <= set(told["extensions"])


def check_model_metadata(client: Any) -> None:
    told = client.get_model_metadata("mlp", as_json=True)
    assert told["versions"] == ["1", "2"], told
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}], told
    assert told["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["-1", "4"]}], told
    assert told["platform"] == "onnxruntime_onnx"
    assert client.get_model_metadata("mlp", "2").versions == ["2"]
    assert client.get_model_metadata("eyes.detect").platform == "secondlook_detect"
    assert status_of(lambda: client.get_model_metadata("nobody")) == "NOT_FOUND"


def check_model_config(client: Any) -> None:
    told = client.get_model_config("mlp", as_json=True)["config"]
    assert told["name"] == "mlp"
    assert told["max_batch_size"] == 8
    assert told["input"][0]["data_type"] == "TYPE_FP32"
    assert told["input"][0]["dims"] == ["4"]
    assert status_of(lambda: client.get_model_config("nobody")) == "NOT_FOUND"


def check_repository_index(client: Any) -> None:
    models = client.get_model_repository_index(as_json=True)["models"]
    states = {(model["name"], model["version"]): model["state"] for model in models}
    assert states["mlp", "1"] == "READY", states
    assert states["mlp", "2"] == "READY", states
    assert any(name == "eyes.detect" for name, _ in states), states


def check_statistics(client: Any) -> None:
    client.infer("mlp", [tensor(sync, X)], model_version="1")
    told = client.get_inference_statistics("mlp", "1", as_json=True)["model_stats"]
    assert told[0]["name"] == "mlp"
    assert int(told[0]["inference_count"]) >= 2, told
    assert int(told[0]["inference_stats"]["success"]["count"]) >= 1, told
    assert client.get_inference_statistics().model_stats
    assert status_of(lambda: client.get_inference_statistics("nobody")) == "NOT_FOUND"


def check_load_and_unload(client: Any) -> None:
    client.load_model("identity_INT8")
    client.unload_model("identity_INT8")
    client.load_model("identity_INT8")
    assert status_of(lambda: client.load_model("nobody")) == "NOT_FOUND"
    assert status_of(lambda: client.unload_model("nobody")) == "NOT_FOUND"
    assert status_of(lambda: client.load_model("mlp", config="{")) == "INVALID_ARGUMENT"
    assert status_of(lambda: client.load_model("eyes.detect")) == "INVALID_ARGUMENT"
    assert client.is_model_ready("mlp")


def check_infer_of_every_datatype(client: Any) -> None:
    for datatype, array in ARRAYS.items():
        result = client.infer(f"identity_{datatype}", [tensor(sync, array, datatype)])
        assert result.get_output("y").datatype == datatype, datatype
        back = result.as_numpy("y")
        assert back.dtype == array.dtype, (datatype, back.dtype)
        assert back.tolist() == array.tolist(), (datatype, back)
        if datatype != "BF16":
            assert np_to_triton_dtype(array.dtype) == datatype


def check_infer_of_nothing(client: Any) -> None:
    for datatype in ("FP32", "INT64", "BYTES"):
        empty = ARRAYS[datatype][:0]
        result = client.infer(f"identity_{datatype}", [tensor(sync, empty, datatype)])
        assert result.as_numpy("y").shape == (0,)


def check_infer_with_everything(client: Any) -> None:
    result = client.infer(
        "mlp",
        [tensor(sync, X)],
        model_version="1",
        outputs=[sync.InferRequestedOutput("y")],
        request_id="request-7",
        priority=2,
        timeout=5_000_000,
        client_timeout=10,
        headers={"x-anything": "goes"},
        compression_algorithm="gzip",
        parameters={"camera": "gate/1", "something": 1.5},
    )
    assert result.as_numpy("y").shape == (2, 4)
    told = result.get_response()
    assert (told.model_name, told.model_version, told.id) == ("mlp", "1", "request-7")
    assert told.parameters["variant"].string_param


def check_status_of_what_is_wrong(client: Any) -> None:
    def infer(model: str, *inputs: Any, **fields: Any) -> str:
        return status_of(lambda: client.infer(model, list(inputs), **fields))

    x = tensor(sync, X)
    assert infer("nobody", x) == "NOT_FOUND"
    assert infer("mlp", x, model_version="77") == "NOT_FOUND"
    assert infer("mlp", x, model_version="one") == "NOT_FOUND"
    assert infer("nobody.detect", x) == "NOT_FOUND"
    assert infer("", x) == "INVALID_ARGUMENT"
    assert infer("mlp", tensor(sync, X[:, :3])) == "INVALID_ARGUMENT"
    assert infer("mlp", tensor(sync, X[0])) == "INVALID_ARGUMENT"
    assert infer("mlp", tensor(sync, np.zeros((9, 4), np.float32))) == "INVALID_ARGUMENT"
    assert infer("mlp", tensor(sync, X.astype(np.float64), "FP64")) == "INVALID_ARGUMENT"
    assert infer("mlp", tensor(sync, X, name="q")) == "INVALID_ARGUMENT"
    assert infer("mlp") == "INVALID_ARGUMENT"
    assert infer("mlp", x, x) == "INVALID_ARGUMENT"
    assert infer("mlp", x, sequence_id=5, sequence_start=True) == "INVALID_ARGUMENT"
    wanted = [sync.InferRequestedOutput("q")]
    assert infer("mlp", x, outputs=wanted) == "INVALID_ARGUMENT"
    wanted = [sync.InferRequestedOutput("y", class_count=2)]
    assert infer("mlp", x, outputs=wanted) == "INVALID_ARGUMENT"
    lied = tensor(sync, X)
    lied.set_shape([2**40, 4])
    assert infer("mlp", lied) == "INVALID_ARGUMENT"
    lied.set_shape([-2, -4])
    assert infer("mlp", lied) == "INVALID_ARGUMENT"
    assert infer("mlp", tensor(sync, X), timeout=1) in ("DEADLINE_EXCEEDED", "OK")
    # And all is as before.
    assert infer("mlp", tensor(sync, X)) == "OK"


def check_what_is_not_offered(client: Any) -> None:
    assert status_of(client.get_system_shared_memory_status) == "UNIMPLEMENTED"
    assert status_of(client.get_trace_settings) == "UNIMPLEMENTED"
    assert status_of(client.get_log_settings) == "UNIMPLEMENTED"


def check_async_infer(client: Any) -> None:
    told: list[tuple[Any, Any]] = []
    all_there = threading.Event()

    def callback(result: Any, error: Any) -> None:
        told.append((result, error))
        if len(told) == 20:
            all_there.set()

    for _ in range(19):
        client.async_infer("mlp", [tensor(sync, X)], callback)
    client.async_infer("nobody", [tensor(sync, X)], callback)
    assert all_there.wait(30)
    assert sum(error is None for _, error in told) == 19
    (failed,) = [error for _, error in told if error is not None]
    assert failed.status() == "StatusCode.NOT_FOUND"


def check_stream(client: Any) -> None:
    told: list[tuple[Any, Any]] = []
    all_there = threading.Event()

    def callback(result: Any, error: Any) -> None:
        told.append((result, error))
        if len(told) == 51:
            all_there.set()

    client.start_stream(callback)
    for place in range(50):
        client.async_stream_infer(
            "mlp",
            [tensor(sync, X + place)],
            request_id=str(place),
            enable_empty_final_response=place == 7,
        )
    client.async_stream_infer("nobody", [tensor(sync, X)], request_id="lost")
    assert all_there.wait(30)
    client.stop_stream()
    good = {result.get_response().id: result for result, error in told if error is None}
    assert set(good) == {str(place) for place in range(50)}
    finals = [
        name
        for name, result in good.items()
        if result.get_response().parameters["triton_final_response"].bool_param
    ]
    assert finals == ["7"], finals
    (failed,) = [error for _, error in told if error is not None]
    assert "nobody" in failed.message()


def check_detect(client: Any) -> None:
    picture = np.array([Path(sys.argv[2]).read_bytes()], np.object_)
    given = [tensor(sync, picture, "BYTES", "image")]
    result = client.infer("eyes.detect", given)
    boxes, scores = result.as_numpy("boxes"), result.as_numpy("scores")
    classes, labels = result.as_numpy("classes"), result.as_numpy("labels")
    assert boxes.dtype == np.float32
    assert boxes.shape == (len(scores), 4)
    assert classes.dtype == np.int32
    assert len(labels) == len(classes) == len(scores) >= 1
    assert b"car" in labels.tolist(), labels
    assert list(scores) == sorted(scores, reverse=True)
    score = np.array([1.0], np.float32)
    none = client.infer("eyes.detect", [*given, tensor(sync, score, "FP32", "min_score")])
    assert none.as_numpy("boxes").shape[1] == 4
    broken = np.array([b"\xff\xd8 no picture"], np.object_)
    wrong = [tensor(sync, broken, "BYTES", "image")]
    assert status_of(lambda: client.infer("eyes.detect", wrong)) == "INVALID_ARGUMENT"


async def check_asyncio_management(client: Any) -> None:
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("mlp")
    assert (await client.get_server_metadata()).name == "secondlook"
    assert (await client.get_model_metadata("mlp")).name == "mlp"
    assert (await client.get_model_config("mlp")).config.name == "mlp"
    assert (await client.get_model_repository_index()).models
    assert (await client.get_inference_statistics("mlp")).model_stats
    await client.load_model("identity_UINT8")
    assert await status_of_async(client.unload_model("nobody")) == "NOT_FOUND"


async def check_asyncio_infer(client: Any) -> None:
    results = await asyncio.gather(
        *(client.infer("mlp", [tensor(aio, X + n)], request_id=str(n)) for n in range(20))
    )
    assert [result.get_response().id for result in results] == [str(n) for n in range(20)]
    for datatype, array in ARRAYS.items():
        result = await client.infer(f"identity_{datatype}", [tensor(aio, array, datatype)])
        assert result.as_numpy("y").tolist() == array.tolist(), datatype
    assert await status_of_async(client.infer("nobody", [tensor(aio, X)])) == "NOT_FOUND"
    wrong = client.infer("mlp", [tensor(aio, X[:, :2])])
    assert await status_of_async(wrong) == "INVALID_ARGUMENT"


async def check_asyncio_stream(client: Any) -> None:
    async def requests() -> Any:
        for place in range(30):
            model = "nobody" if place == 13 else "mlp"
            yield {
                "model_name": model,
                "inputs": [tensor(aio, X + place)],
                "request_id": str(place),
            }

    told = [pair async for pair in client.stream_infer(requests())]
    assert len(told) == 30
    assert sum(error is None for _, error in told) == 29


def run(address: str) -> dict[str, str]:
    """Every check, and what went wrong."""
    checks = {name: function for name, function in globals().items() if name.startswith("check_")}
    found: dict[str, str] = {}

    async def in_loop(check: Any) -> None:
        async with aio.InferenceServerClient(address) as client:
            await check(client)

    for name, check in checks.items():
        found[name] = ""
        try:
            if inspect.iscoroutinefunction(check):
                asyncio.run(in_loop(check))
            else:
                with sync.InferenceServerClient(address) as client:
                    check(client)
        except Exception:  # noqa: BLE001 - told to the test, which fails
            found[name] = traceback.format_exc()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1])))
