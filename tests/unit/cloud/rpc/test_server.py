"""Health, reflection, metrics, ports and TLS of the running service."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio.to_thread
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.cloud import (
    FakeDetector,
    channel_to,
    escalation_stub,
    fake_cloud,
    picture,
    settings,
    whole_frame,
)

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.rpc.health import VERSION_KEY
from secondlook.cloud.service import running_cloud
from secondlook.shared.errors import InvalidConfig, StoreError, Unavailable
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def fakes(_: Any) -> list[Loaded]:
    return [Loaded(FakeDetector())]


async def get(url: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await anyio.to_thread.run_sync(fetch)


@pytest.mark.parametrize(
    "service", ["", "secondlook.rpc.v1.Escalation", "secondlook.rpc.v1.ContextMemory"]
)
async def test_health_of_each_service_with_the_version_beside_it(service: str) -> None:
    async with fake_cloud() as (_, channel):
        call = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service)
        )
        assert (await call).status == SERVING
        assert dict(await call.initial_metadata())[VERSION_KEY] == version("secondlook")


async def test_health_of_a_service_that_is_not_here() -> None:
    async with fake_cloud() as (_, channel):
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="inference.Nobody")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await health.Check(request)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(request)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


async def test_those_who_watch_health_learn_of_the_drain_and_are_let_go() -> None:
    async with AsyncExitStack() as client:
        async with running_cloud(settings(), load=fakes) as cloud:
            channel = await client.enter_async_context(channel_to(cloud.port))
            watches = [
                health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
                for _ in range(2)
            ]
            assert [(await watch.read()).status for watch in watches] == [SERVING] * 2
        for watch in watches:
            assert (await watch.read()).status == NOT_SERVING
            assert await watch.read() is grpc.aio.EOF


async def test_reflection_lists_the_services() -> None:
    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with fake_cloud() as (_, channel):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = [answer async for answer in stub.ServerReflectionInfo(ask())]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {
        "secondlook.rpc.v1.Escalation",
        "secondlook.rpc.v1.ContextMemory",
        "grpc.health.v1.Health",
    } <= names


async def test_metrics_and_healthz() -> None:
    async with fake_cloud(metrics={"enabled": True}) as (cloud, channel):
        base = f"http://127.0.0.1:{cloud.metrics_port}"
        await escalation_stub(channel).Escalate(
            request_to_proto(whole_frame(picture(64, 48))), timeout=10
        )
        status, text = await get(f"{base}/metrics")
        assert status == 200
        assert 'secondlook_cloud_calls_total{method="Escalate",status="OK"} 1.0' in text
        assert 'secondlook_cloud_verdict_seconds_count{purpose="unsure"} 1.0' in text
        assert 'secondlook_cloud_engine_batch_rows_count{model="fake"} 1.0' in text
        assert await get(f"{base}/healthz") == (200, "ok\n")
        cloud.health.set_serving(False)
        assert (await get(f"{base}/healthz"))[0] == 503


async def test_a_grpc_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        detector = FakeDetector()
        with pytest.raises(Unavailable, match=f"{port} is in use"):
            async with running_cloud(
                settings(server={"port": port}), load=lambda _: [Loaded(detector)]
            ):
                pytest.fail("it serves")
    # What had been started is released.
    assert detector.closed


async def test_two_services_cannot_share_a_port() -> None:
    async with running_cloud(settings(), load=fakes) as first:
        with pytest.raises(Unavailable, match="in use"):
            async with running_cloud(settings(server={"port": first.port}), load=fakes):
                pytest.fail("it serves")


async def test_a_metrics_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match="metrics"):
            async with running_cloud(settings(metrics={"enabled": True, "port": port}), load=fakes):
                pytest.fail("it serves")


async def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(InvalidConfig, match=r"203\.0\.113\.7"):
        async with running_cloud(
            settings(server={"host": "203.0.113.7", "allow_plaintext": True}), load=fakes
        ):
            pytest.fail("it serves")


async def test_a_damaged_context_memory_is_told(tmp_path: Path) -> None:
    damaged = tmp_path / "memory.db"
    damaged.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a SQLite file"):
        async with running_cloud(settings(memory={"url": f"sqlite:///{damaged}"}), load=fakes):
            pytest.fail("it serves")


async def test_a_certificate_that_is_missing_is_told(tmp_path: Path) -> None:
    tls = {"cert": tmp_path / "none.pem", "key": tmp_path / "none.key"}
    with pytest.raises(InvalidConfig, match=r"none\.key cannot be read"):
        async with running_cloud(settings(server={"tls": tls}), load=fakes):
            pytest.fail("it serves")


async def test_nothing_is_left_running() -> None:
    before = set(asyncio.all_tasks())
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, channel):
        await escalation_stub(channel).Escalate(
            request_to_proto(whole_frame(picture(64, 48))), timeout=10
        )
    assert detector.closed
    with pytest.raises(StoreError):
        await cloud.store.ping()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not {task for task in left if "secondlook" in repr(task.get_coro())}
