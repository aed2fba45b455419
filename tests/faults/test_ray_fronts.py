"""Two services before one Ray cluster: one swaps, one dies, and neither takes from the other.

A node that stays holds the replicas; the services are processes of their own.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.cloud import CloudProcess, channel_to, cloud_process
from support.ray_cluster import gone
from support.versioned import publish
from support.waiting import until

from secondlook.cloud.engine.ray.libraries import KEEPER, NAMESPACE
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.background import background_tasks

pytest.importorskip("ray")

# Ray leaves sockets and files to the collector.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),
]

LEASE_S = 6
CONFIG = """
[repository]
paths = ["{models}"]
control = "explicit"

[memory]
url = "sqlite:///:memory:"

[engine]
kind = "ray"

[engine.ray]
address = "{address}"
cpus = 0.2
lease_s = {lease_s}
"""
LONG_S = 90


@pytest.fixture
def cluster() -> Iterator[Any]:
    from support.ray_cluster import another_node, shared_cluster

    shared = shared_cluster()
    with another_node(shared):
        yield shared


class Service:
    """One process in front, and what it was asked."""

    def __init__(self, process: CloudProcess, channel: grpc.aio.Channel) -> None:
        self.process = process
        self.stub: Any = pb_grpc.GRPCInferenceServiceStub(channel)
        self.answered: list[str] = []
        self.wrong: list[str] = []

    async def load(self) -> None:
        request = pb.RepositoryModelLoadRequest(model_name="adder")
        await self.stub.RepositoryModelLoad(request, timeout=LONG_S)

    async def ask(self, value: float) -> None:
        """One question, whose answer says which version gave it."""
        request = pb.ModelInferRequest(model_name="adder")
        request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
        request.raw_input_contents.append(np.full((1, 2), value, np.float32).tobytes())
        reply = await self.stub.ModelInfer(request, timeout=LONG_S)
        (y,) = np.frombuffer(reply.raw_output_contents[0], np.float32).reshape(1, 2).tolist()
        if y != [value + 1000 * int(reply.model_version)] * 2:
            self.wrong.append(f"{value} by {reply.model_version}: {y}")
        self.answered.append(reply.model_version)

    async def traffic(self, scope: anyio.CancelScope) -> None:
        """One question after another."""
        with scope:
            for number in itertools.count():
                await self.ask(float(number % 900))

    async def shows(self, version: str) -> set[str]:
        """The replicas of a version whose batches its metrics show; once there are any."""
        with anyio.fail_after(LONG_S):
            while True:
                text = await anyio.to_thread.run_sync(self._metrics)
                found = {
                    sample.labels["replica"]
                    for family in text_string_to_metric_families(text)
                    for sample in family.samples
                    if sample.name == "secondlook_cloud_replica_batch_rows_count"
                    and sample.labels["version"] == version
                    and sample.value
                }
                if found:
                    return found
                await anyio.sleep(0.1)

    def _metrics(self) -> str:
        url = f"http://127.0.0.1:{self.process.ports['metrics_port']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as reply:
            text: str = reply.read().decode()
        return text

    async def answers(self, count: int, version: str) -> None:
        """Return once that many more have been given by a version."""
        before = self.answered.count(version)
        await until(lambda: self.answered.count(version) >= before + count)


@asynccontextmanager
async def service(folder: Path, **settings: Any) -> AsyncIterator[Service]:
    await anyio.Path(folder).mkdir()
    await anyio.Path(folder / "cloud.toml").write_text(CONFIG.format(**settings))
    running = cloud_process(folder, "--config", "cloud.toml")
    process = await anyio.to_thread.run_sync(running.__enter__)
    try:
        async with channel_to(process.port) as channel:
            yield Service(process, channel)
    finally:
        running.__exit__(None, None, None)


async def test_services_share_what_runs_and_none_takes_it_from_another(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    publish(models, "adder", 1)
    settings = {"models": models, "address": cluster.address, "lease_s": LEASE_S}
    async with (
        service(tmp_path / "one", **settings) as one,
        service(tmp_path / "two", **settings) as two,
        background_tasks() as callers,
    ):
        # Both at once: one of them deploys it, the other waits for that.
        await asyncio.gather(one.load(), two.load())
        asked_of_one = anyio.CancelScope()
        callers.start_soon(one.traffic, asked_of_one)
        callers.start_soon(two.traffic, anyio.CancelScope())
        await one.answers(20, "1")
        await two.answers(20, "1")
        (first,) = await one.shows("1")
        assert await two.shows("1") == {first}

        # One swaps: the other is asked on, and answers as before.
        await anyio.to_thread.run_sync(publish, models, "adder", 2)
        await one.load()
        await one.answers(20, "2")
        await two.answers(50, "1")
        assert await two.shows("1") == {first}
        (second,) = await one.shows("2")

        # The other one swaps, too: it finds what runs. Now nobody needs the first version.
        await two.load()
        await two.answers(20, "2")
        assert await two.shows("2") == {second}
        await gone("-adder-1-")

        # What keeps all this dies, and starts again: it waits for those in front to say what they
        # need, and takes nothing from them.
        killed_s = time.monotonic()
        await anyio.to_thread.run_sync(kill_keeper)
        await until(lambda: time.monotonic() > killed_s + 2 * LEASE_S)
        await one.answers(20, "2")
        assert await one.shows("2") == {second}

        # One dies without a word: the other is asked on.
        asked_of_one.cancel()
        one.process.kill()
        await two.answers(50, "2")
        assert await two.shows("2") == {second}

        # Nobody needs it but the dead one, and that one not for long.
        callers.cancel_scope.cancel()
    assert one.wrong == two.wrong == []
    await gone("-adder-2-")
    with capsys.disabled():
        print(f"\n{len(one.answered)} and {len(two.answered)} answered, none failed or misrouted")  # noqa: T201 - what happened is to be read


def kill_keeper() -> None:
    """Kill the actor as a crash would: Ray starts it again."""
    import ray

    ray.kill(ray.get_actor(KEEPER, NAMESPACE), no_restart=False)
