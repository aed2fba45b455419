"""The budget holds on the wire: counted by a proxy, with the real service, over bad links too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import FakeDetector, fake_cloud
from support.edge import (
    MemorySink,
    ScriptedDetector,
    edge_settings,
    make_daemon,
    paced_film,
    seen,
    textured,
)
from support.gate import ALWAYS_ASK
from support.waiting import until
from support.wire import TimedProxy

from secondlook.edge.control.sharing import table
from secondlook.edge.settings import EdgeSettings
from secondlook.edge.uplink import BreakerSettings

pytestmark = pytest.mark.anyio

RATE, BURST_S = 40_000, 1.0
UNSURE = seen(((100, 100, 140, 140), 0.45, "car"), ((20, 20, 60, 80), 0.4, "person"))
PICTURES = [textured(seed=seed) for seed in range(8)]
WINDOWS_S = (0.1, 0.5, 1.0, 3.0, 60.0)


def _settings(address: str, folder: Path, cameras: list[str], **budget: Any) -> EdgeSettings:
    return edge_settings(
        address,
        cameras=cameras,
        uplink={
            "overflow": "drop_oldest",
            "max_in_flight": 8,
            "timeout_s": 5.0,
            "backoff_initial_s": 0.001,
            "spool": {"path": str(folder)},
        },
        gate=ALWAYS_ASK,
        trust={"audit_rate": 0.2},
        budget={"kb_per_s": RATE / 1000, "burst_s": BURST_S, **budget},
    )


LINKS = {
    "good": {},
    "slow": {"delay_s": 0.03, "bytes_per_s": 30_000.0},
    "far": {"delay_s": 0.15},
}


@pytest.mark.parametrize("link", LINKS)
async def test_no_window_holds_more_bytes_than_the_bucket_gives(tmp_path: Path, link: str) -> None:
    sink = MemorySink()
    async with fake_cloud(FakeDetector()) as (cloud, _):
        proxy = TimedProxy("127.0.0.1", cloud.port)
        for name, value in LINKS[link].items():
            setattr(proxy, name, value)
        async with proxy.running():
            settings = _settings(proxy.target, tmp_path, ["gate"])
            daemon = make_daemon(
                settings,
                ScriptedDetector(UNSURE),
                {"gate": paced_film(PICTURES, 0.005)},
                sinks=[sink],
            )
            (status,) = daemon.statuses
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: sum(size for _, size in proxy.up) > 1.5 * RATE)
                daemon.stop()
    answers = [event.observation.frame.sequence for event in sink.answers()]
    assert answers == list(range(len(answers)))
    assert status.verdicts > 0
    for window_s in WINDOWS_S:
        assert proxy.most_in(window_s) <= RATE * window_s + RATE * BURST_S
    # What was charged covers what passed.
    assert daemon.uplink.meter.totals.wire_bytes >= sum(size for _, size in proxy.up)


async def test_a_cloud_that_fails_gets_no_more_bytes_for_it(tmp_path: Path) -> None:
    broken = FakeDetector()
    async with fake_cloud(broken) as (cloud, _):
        broken.broken = True
        proxy = TimedProxy("127.0.0.1", cloud.port)
        async with proxy.running():
            settings = _settings(proxy.target, tmp_path, ["gate"])
            quick = {"breaker": BreakerSettings(min_calls=3, open_s=60.0)}
            settings = settings.model_copy(
                update={"uplink": settings.uplink.model_copy(update=quick)}
            )
            daemon = make_daemon(
                settings, ScriptedDetector(UNSURE), {"gate": paced_film(PICTURES, 0.005)}
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: daemon.uplink.breaker.opened >= 1)
                sent = daemon.uplink.meter.totals.requests
                answered = daemon.statuses[0].answers
                await until(lambda: daemon.statuses[0].answers >= answered + 100)
                assert daemon.uplink.meter.totals.requests == sent
                daemon.stop()
    for window_s in WINDOWS_S:
        assert proxy.most_in(window_s) <= RATE * window_s + RATE * BURST_S


async def test_inferences_are_budgeted_like_bytes(tmp_path: Path) -> None:
    detector = FakeDetector()
    async with fake_cloud(detector) as (cloud, _):
        settings = _settings(f"127.0.0.1:{cloud.port}", tmp_path, ["gate"], kb_per_s=1e6)
        settings = settings.model_copy(
            update={"budget": settings.budget.model_copy(update={"cloud_per_s": 4.0})}
        )
        daemon = make_daemon(
            settings, ScriptedDetector(UNSURE), {"gate": paced_film(PICTURES, 0.005)}
        )
        started_s = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: len(detector.seen) >= 6)
            daemon.stop()
        took_s = anyio.current_time() - started_s
    # The service warms its model up with one picture of its own.
    assert len(detector.seen) - 1 <= 4 * took_s + 4 * BURST_S


async def test_eight_cameras_share_one_budget_on_the_wire(tmp_path: Path) -> None:
    cameras = [f"cam{number}" for number in range(8)]
    registry = CollectorRegistry()
    async with fake_cloud(FakeDetector()) as (cloud, _):
        proxy = TimedProxy("127.0.0.1", cloud.port)
        async with proxy.running():
            daemon = make_daemon(
                _settings(proxy.target, tmp_path, cameras),
                ScriptedDetector(UNSURE),
                {name: paced_film(PICTURES, 0.02 * 1.6**n) for n, name in enumerate(cameras)},
                registry=registry,
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: sum(size for _, size in proxy.up) > 2.5 * RATE)
                # Nobody starves.
                await until(lambda: all(status.verdicts > 0 for status in daemon.statuses))
                daemon.stop()
    for window_s in WINDOWS_S:
        assert proxy.most_in(window_s) <= RATE * window_s + RATE * BURST_S
    shares = daemon.controller.shares()["bytes"]
    spent = {one.camera: daemon.controller.bytes.mean(one.camera) for one in shares}
    sys.stdout.write("\n" + table(shares, "KB", 1000, spent) + "\n")
    assert sum(one.granted for one in shares) == pytest.approx(RATE)
    assert all(one.reason for one in shares)
