"""Several real processes behind one port: killed, drained, started wrongly."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio.to_thread
import grpc
import grpc.aio
import psutil
import pytest
from support.cloud import CloudProcess, channel_to, cloud_process, escalation_stub, whole_frame
from support.networks import blank, paint, write_bright_spot_model
from support.waiting import until, until_beside

from secondlook.shared.wire.escalation import request_to_proto

CALLERS = 12
"""Connections. That all of them go to one of two processes has a chance of 1 in 2048."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_spot_model(tmp_path_factory.mktemp("model") / "heavy.onnx")


def two(folder: Path, model: Path, *arguments: str) -> Any:
    return cloud_process(folder, "--processes", "2", "--model", str(model), *arguments)


def question(request_id: str) -> Any:
    image = blank(320, 240)
    paint(image, (40, 60, 120, 140), "car")
    return request_to_proto(whole_frame(image, request_id))


class Callers:
    """Each asks without pause over a connection of its own, and waits for one where it has none."""

    def __init__(self) -> None:
        self.codes: Counter[grpc.StatusCode] = Counter()
        self.answered = [0] * CALLERS
        self.going_on = True

    async def run(self, port: int) -> None:
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(channel_to(port)) for _ in range(CALLERS)]
            await asyncio.gather(
                *(self._ask(number, channel) for number, channel in enumerate(channels))
            )

    async def _ask(self, number: int, channel: grpc.aio.Channel) -> None:
        stub = escalation_stub(channel)
        while self.going_on:
            request = question(f"{number}-{self.answered[number]}")
            try:
                await stub.Escalate(request, timeout=60, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                self.codes[error.code()] += 1
            else:
                self.answered[number] += 1

    async def each_answered_again(self) -> None:
        before = list(self.answered)
        await until(lambda: all(map(int.__gt__, self.answered, before)))


def pids_of(cloud: CloudProcess) -> list[int]:
    pids: Any = cloud.ports["processes"]
    return list(pids)


def gone(pid: int) -> bool:
    """Whether it runs no more; who is nobody's child any more may stay as a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.heavy
@pytest.mark.anyio
async def test_who_is_killed_under_load_is_replaced(tmp_path: Path, model: Path) -> None:
    with two(tmp_path, model) as cloud:
        callers = Callers()
        load = asyncio.ensure_future(callers.run(cloud.port))
        await callers.each_answered_again()
        assert not callers.codes
        victim = pids_of(cloud)[0]
        os.kill(victim, signal.SIGKILL)
        await anyio.to_thread.run_sync(
            until_beside,
            cloud.process,
            cloud.log,
            lambda: cloud.log.read_text().count("process serves") == 3,
        )
        await callers.each_answered_again()
        # What the dead one had in work failed, at most once for each caller; nothing else did.
        assert set(callers.codes) <= {grpc.StatusCode.UNAVAILABLE}
        assert callers.codes.total() <= CALLERS
        said = cloud.log.read_text()
        assert "was killed by SIGKILL" in said
        # The one that was started again has taken its place: with the other one gone it serves.
        survivor = pids_of(cloud)[1]
        os.kill(survivor, signal.SIGTERM)
        await anyio.to_thread.run_sync(
            until_beside,
            cloud.process,
            cloud.log,
            lambda: cloud.log.read_text().count("process serves") == 4,
        )
        assert "ended with code 0" in cloud.log.read_text()
        await callers.each_answered_again()
        callers.going_on = False
        await load
        children = [child.pid for child in psutil.Process(cloud.process.pid).children()]
        assert len(children) == 2
        assert await anyio.to_thread.run_sync(cloud.terminate) == 0
        assert all(gone(pid) for pid in (victim, survivor, *children))


@pytest.mark.heavy
@pytest.mark.anyio
async def test_the_first_signal_finishes_what_was_accepted(tmp_path: Path) -> None:
    slow = write_bright_spot_model(tmp_path / "slow.onnx", work=30)
    with two(tmp_path, slow) as cloud:
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(channel_to(cloud.port)) for _ in range(6)]
            for channel in channels:
                await channel.channel_ready()
            calls = [
                asyncio.ensure_future(
                    escalation_stub(channel).Escalate(question(str(number)), timeout=60)
                )
                for number, channel in enumerate(channels)
            ]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            cloud.process.send_signal(signal.SIGTERM)
            for call in calls:
                assert (await call).detections.class_names == ["car"]
        assert await anyio.to_thread.run_sync(cloud.process.wait) == 0


@pytest.mark.heavy
def test_the_second_signal_ends_all_at_once(tmp_path: Path, model: Path) -> None:
    with two(tmp_path, model) as cloud, socket.create_connection(("127.0.0.1", cloud.port)):
        pids = pids_of(cloud)
        os.kill(pids[0], signal.SIGSTOP)
        try:
            cloud.process.send_signal(signal.SIGINT)
            until_beside(cloud.process, cloud.log, lambda: "draining" in cloud.log.read_text())
            cloud.process.send_signal(signal.SIGINT)
            assert cloud.process.wait(60) == 128 + signal.SIGINT
        finally:
            os.kill(pids[0], signal.SIGCONT)
        psutil.wait_procs([psutil.Process(pid) for pid in pids if not gone(pid)], timeout=30)
        assert all(gone(pid) for pid in pids)


@pytest.mark.heavy
def test_when_the_supervisor_is_killed_its_processes_end(tmp_path: Path, model: Path) -> None:
    with two(tmp_path, model) as cloud:
        children = [psutil.Process(pid) for pid in pids_of(cloud)]
        cloud.kill()
        psutil.wait_procs(children, timeout=30)
        assert all(gone(child.pid) for child in children)


def test_what_cannot_be_served_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(b"not a model" * 1000)
    with pytest.raises(AssertionError) as failure:
        CloudProcess(tmp_path, "--processes", "2", "--model", str(file))
    said = str(failure.value)
    assert said.count("error: ") == 1
    assert "bad.onnx" in said
    assert "Traceback" not in said


def test_a_port_in_use_is_told(tmp_path: Path, model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"port 127.0.0.1:{port} is in use"):
            CloudProcess(tmp_path, "--processes", "2", "--model", str(model), "--port", str(port))
