"""The real command over a repository on disk: versions come while callers ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from support.cloud import CloudProcess, channel_to, cloud_process
from support.versioned import WEIGHTS, publish
from support.waiting import until

from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc

pytestmark = pytest.mark.anyio

SWAPS = 20
CORRUPT = 8
LYING = 13
CALLERS = 4
LIES = """
max_batch_size: 4
input [{ name: "x" data_type: TYPE_FP32 dims: [3] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [2] }]
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    publish(root, "adder", 1)
    return root


@pytest.fixture
def cloud(tmp_path: Path, models: Path) -> Iterator[CloudProcess]:
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'[repository]\npaths = ["{models}"]\npoll_s = 0.05\n[memory]\nurl = "sqlite:///:memory:"\n'
    )
    with cloud_process(tmp_path, "--port", "0", "--config", str(config)) as running:
        yield running
        assert running.terminate() == 0


@dataclass
class Traffic:
    """What callers met, by version."""

    answers: int = 0
    newest: int = 0
    misled: list[str] = field(default_factory=list)
    stopped: bool = False

    async def ask(self, stub: Any, caller: int) -> None:
        """One call after the other; one that fails ends the test."""
        value = 0
        while not self.stopped:
            value = (value + 1) % 100
            tensor = np.full((2, 2), value, np.float32)
            known = self.newest
            reply = await stub.ModelInfer(_question(tensor, f"{caller}-{value}"), timeout=30)
            sums = np.frombuffer(reply.raw_output_contents[0], np.float32)
            spoke = {int(v) // 1000 for v in sums}
            signed = int(reply.model_version)
            rest = {int(v) % 1000 for v in sums}
            if spoke != {signed} or rest != {value} or signed < known:
                self.misled.append(f"{signed} signed, {spoke} spoke, {known} was known")
            self.answers += 1
            self.newest = max(self.newest, signed)

    async def more(self, count: int) -> None:
        """Until so many more are answered."""
        goal = self.answers + count
        await self._until(lambda: self.answers >= goal)

    async def meets(self, version: int) -> None:
        """Until somebody was answered by it."""
        await self._until(lambda: self.newest == version)

    async def _until(self, condition: Any) -> None:
        with anyio.fail_after(60):
            await until(condition)


def _question(tensor: np.ndarray, request_id: str) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(
        model_name="adder",
        id=request_id,
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=tensor.shape)
        ],
        raw_input_contents=[tensor.tobytes()],
    )


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


async def _refused(stub: Any, version: int) -> str:
    """The reason why a version is not served, once it is told."""
    with anyio.fail_after(30):
        while True:
            index = await stub.RepositoryIndex(pb.RepositoryIndexRequest())
            for entry in index.models:
                if entry.version == str(version) and entry.state == "UNAVAILABLE":
                    return str(entry.reason)


async def test_swapped_on_disk_under_traffic(cloud: CloudProcess, models: Path) -> None:
    traffic, settled_bytes = Traffic(), 0
    async with channel_to(cloud.port) as channel, anyio.create_task_group() as tasks:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        for caller in range(CALLERS):
            tasks.start_soon(traffic.ask, stub, caller)
        await traffic.meets(1)
        for version in range(2, SWAPS + 4):
            if version == CORRUPT:
                publish(models, "adder", version, b"no network at all")
                assert "adder" in await _refused(stub, version)
                await traffic.more(5 * CALLERS)
                assert traffic.newest == version - 1
            elif version == LYING:
                (models / "adder" / "config.pbtxt").write_text(LIES)
                publish(models, "adder", version)
                await _refused(stub, version)
                await traffic.more(5 * CALLERS)
                assert traffic.newest == version - 1
                (models / "adder" / "config.pbtxt").unlink()
                await traffic.meets(version)
            else:
                publish(models, "adder", version)
                await traffic.meets(version)
            if version == 4:
                settled_bytes = await anyio.to_thread.run_sync(_resident_bytes, cloud.process.pid)
        grown = await anyio.to_thread.run_sync(_resident_bytes, cloud.process.pid) - settled_bytes
        # Not cancelled: what ends a call would come to the event loop of a later test.
        traffic.stopped = True
    assert traffic.misled == []
    # All versions since then together hold 17 times as much as one.
    assert grown < 10 * 4 * WEIGHTS
