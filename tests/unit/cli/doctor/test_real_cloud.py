"""The walk to the real cloud service, with a tiny model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.doctor import Pki, Results
from support.networks import write_bright_spot_model

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.cloud import CloudVisit
from secondlook.cli.doctor.result import exit_code
from secondlook.cli.doctor.tls import Tls
from secondlook.cloud.service import RunningCloud, running_cloud
from secondlook.cloud.settings import CloudSettings

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def cloud(model: Path, **server: object) -> AsyncIterator[RunningCloud]:
    settings = CloudSettings.model_validate(
        {
            "server": {"port": 0, "drain_timeout_s": 1.0, **server},
            "models": [{"name": "spots", "path": str(model), "threads": 1}],
            "memory": {"url": "sqlite:///:memory:"},
            "metrics": {"enabled": False},
        }
    )
    async with running_cloud(settings) as running:
        yield running


async def walk(running: RunningCloud, tls: Tls | None = None, model: str = "") -> Results:
    results = Results()
    await CloudVisit(Address("127.0.0.1", running.port), tls, model).walk(results)
    return results


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_bright_spot_model(tmp_path / "spots.onnx")


async def test_every_hop_passes(model: Path) -> None:
    async with cloud(model) as running:
        results = await walk(running)
    assert set(results.shape().values()) == {"ok"}
    assert "spots 1 answered" in results.of("cloud: escalate").detail
    assert "agree" in results.of("cloud: clock").detail


async def test_a_model_that_it_does_not_have(model: Path) -> None:
    async with cloud(model) as running:
        results = await walk(running, model="other")
    assert results.first_failure.name == "cloud: escalate"
    assert "served are spots" in results.first_failure.detail


async def test_draining(model: Path) -> None:
    async with cloud(model) as running:
        running.health.set_serving(False)
        results = await walk(running)
    assert results.first_failure.name == "cloud: health"
    assert exit_code(results) == 4


async def test_mutual_tls(model: Path, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    certificate, key = pki.issue("127.0.0.1")
    tls = {"cert": str(certificate), "key": str(key), "client_ca": str(pki.ca)}
    async with cloud(model, tls=tls) as running:
        stranger = await walk(running, Tls(ca=pki.ca))
        device = await walk(running, Tls(pki.ca, *pki.issue("device-7")))
    assert "client certificate" in stranger.first_failure.remedy
    assert exit_code(device) == 0
