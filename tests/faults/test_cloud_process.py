"""The real command: killed, restarted, told to stop, started wrongly."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import anyio.to_thread
import grpc
import grpc.aio
import pytest
from support.cloud import channel_to, cloud_process, escalation_stub, whole_frame
from support.networks import blank, paint, write_bright_spot_model
from support.waiting import eventually

from secondlook.rpc.v1 import context_memory_pb2, context_memory_pb2_grpc
from secondlook.shared.wire.escalation import request_to_proto


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_spot_model(tmp_path_factory.mktemp("model") / "heavy.onnx")


def slow_model(folder: Path) -> str:
    """Settings under which a second request waits some seconds for the first."""
    model = write_bright_spot_model(folder / "slow.onnx", work=90)
    file = folder / "cloud.toml"
    file.write_text(f'[[models]]\nname = "heavy"\npath = "{model}"\n[cache]\nenabled = false\n')
    return str(file)


def question(request_id: str) -> Any:
    image = blank(320, 240)
    paint(image, (40, 60, 120, 140), "car")
    return request_to_proto(whole_frame(image, request_id))


def gauge(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name):
                return float(line.rpartition(" ")[2])
    return 0.0


@pytest.mark.anyio
async def test_killed_and_restarted_it_has_every_acknowledged_save(
    tmp_path: Path, model: Path
) -> None:
    arguments = ("--port", "0", "--model", str(model), "--memory", "sqlite:///memory.db")
    acknowledged: list[int] = []

    async def write(port: int) -> None:
        async with channel_to(port) as channel:
            memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
            for n in range(100_000):
                request = context_memory_pb2.SaveRequest(
                    id=f"r/{n}", data=json.dumps({"n": n}).encode(), writer="edge"
                )
                await memory.Save(request)
                acknowledged.append(n)

    with cloud_process(tmp_path, *arguments) as cloud:
        writing = asyncio.ensure_future(write(cloud.port))
        await eventually(lambda: len(acknowledged) >= 50)
        cloud.kill()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await writing
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    with cloud_process(tmp_path, *arguments) as cloud:
        async with channel_to(cloud.port) as channel:
            memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
            for n in acknowledged:
                record = (await memory.Load(context_memory_pb2.LoadRequest(id=f"r/{n}"))).record
                assert json.loads(record.data) == {"n": n}
            reply = await escalation_stub(channel).Escalate(question("after"), timeout=10)
            assert reply.detections.class_names == ["car"]
        assert cloud.terminate() == 0


@pytest.mark.heavy  # alone on the machine: it has to see one request wait for another
@pytest.mark.anyio
async def test_the_first_signal_finishes_what_was_accepted(tmp_path: Path) -> None:
    config = slow_model(tmp_path)
    with cloud_process(tmp_path, "--port", "0", "--config", config) as cloud:
        async with channel_to(cloud.port) as channel:
            stub = escalation_stub(channel)
            accepted = [
                asyncio.ensure_future(outcome(stub.Escalate(question(name), timeout=30)))
                for name in ("running", "waiting")
            ]
            waits = "secondlook_cloud_engine_queue_requests"
            while await anyio.to_thread.run_sync(gauge, cloud.ports["metrics_port"], waits) != 1:
                assert not accepted[0].done(), accepted[0].result()
            cloud.process.send_signal(signal.SIGTERM)
            assert [await call for call in accepted] == [grpc.StatusCode.OK] * 2
        assert await anyio.to_thread.run_sync(cloud.process.wait) == 0
    assert "draining" in cloud.log.read_text()


@pytest.mark.heavy
@pytest.mark.anyio
async def test_the_second_signal_leaves_at_once(tmp_path: Path) -> None:
    config = slow_model(tmp_path)
    with cloud_process(tmp_path, "--port", "0", "--config", config) as cloud:
        async with channel_to(cloud.port) as channel:
            stub = escalation_stub(channel)
            calls = [
                asyncio.ensure_future(outcome(stub.Escalate(question(name), timeout=30)))
                for name in ("running", "waiting", "further behind")
            ]
            waits = "secondlook_cloud_engine_queue_requests"
            while await anyio.to_thread.run_sync(gauge, cloud.ports["metrics_port"], waits) != 2:
                assert not calls[0].done(), calls[0].result()
            cloud.process.send_signal(signal.SIGTERM)
            await eventually(lambda: "draining" in cloud.log.read_text())
            cloud.process.send_signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(cloud.process.wait) == 128 + signal.SIGTERM
            assert await calls[-1] is grpc.StatusCode.UNAVAILABLE


async def outcome(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def serve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "secondlook.cli", "cloud", "serve", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_in_use_exits_with_4(tmp_path: Path, model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(tmp_path, "--model", str(model), "--port", str(port), "--metrics-port", "0")
    assert done.returncode == 4
    assert f"error: port 127.0.0.1:{port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"not a model" * 1000])
def test_a_bad_model_exits_with_2(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "bad.onnx"
    if content is not None:
        file.write_bytes(content)
    done = serve(tmp_path, "--model", str(file), "--port", "0", "--metrics-port", "0")
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "bad.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_key_exits_with_2_and_suggests_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").write_text("[server]\nprot = 1\n")
    done = serve(tmp_path, "--config", "cloud.toml")
    assert done.returncode == 2
    assert "server.prot is not a setting; did you mean port?" in done.stderr


def test_plaintext_beyond_loopback_exits_with_2(tmp_path: Path, model: Path) -> None:
    done = serve(tmp_path, "--model", str(model), "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "allow_plaintext" in done.stderr
