"""A daemon that sends canvases to a service that is killed: nothing wrong is ever published."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.to_thread
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import CloudProcess
from support.edge import Film, MemorySink, ScriptedDetector, edge_settings, make_daemon
from support.networks import blank, paint, write_bright_spot_model
from support.waiting import until

from secondlook.edge.settings import EdgeSettings

pytestmark = pytest.mark.anyio

HERE, THERE = (40, 60, 120, 140), (200, 80, 280, 160)


def _scene(place: tuple[int, int, int, int]) -> np.ndarray:
    image = blank(320, 240)
    paint(image, place, "car", score=0.9)
    return image


SCENES = {False: _scene(HERE), True: _scene(THERE)}


class Stage:
    """What the camera shows: the car here, or there; and what it showed on each frame."""

    def __init__(self) -> None:
        self.moved = False
        self.shown: list[bool] = []

    def image(self, number: int) -> np.ndarray:
        self.shown.append(self.moved)
        return SCENES[self.moved]


def _settings(port: int, spool: Path) -> EdgeSettings:
    return edge_settings(
        f"127.0.0.1:{port}",
        trust={"audit_rate": 1.0},
        regions={"carrier": "canvas"},
        uplink={
            "reconnect_max_s": 0.1,
            "backoff_initial_s": 0.01,
            "breaker": {"enabled": False},
            "spool": {"enabled": True, "path": spool, "per_s": 1000},
        },
        fusion={"look_back_s": 0.0},
    )


async def test_a_service_that_is_killed_gets_a_key_frame_and_nothing_wrong_is_published(
    tmp_path: Path,
) -> None:
    await anyio.to_thread.run_sync(
        lambda: write_bright_spot_model(tmp_path / "heavy.onnx", gain=1.0)
    )
    model = ("--model", str(tmp_path / "heavy.onnx"), "--memory", "sqlite:///:memory:")
    cloud = await anyio.to_thread.run_sync(lambda: CloudProcess(tmp_path, *model))
    stage, sink, registry = Stage(), MemorySink(), CollectorRegistry()
    daemon = make_daemon(
        _settings(cloud.port, tmp_path / "spool"),
        ScriptedDetector(),
        {"gate": Film(None, image=stage.image)},
        sinks=[sink],
        registry=registry,
    )
    (status,) = daemon.statuses
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: status.verdicts >= 5)
            await anyio.to_thread.run_sync(cloud.kill)
            await until(lambda: not daemon.uplink.accepting)
            stage.moved = True
            answered = status.answers
            await until(lambda: status.answers >= answered + 5)
            again = ("--port", str(cloud.port))
            cloud = await anyio.to_thread.run_sync(lambda: CloudProcess(tmp_path, *model, *again))
            verdicts = status.verdicts
            await until(lambda: status.verdicts >= verdicts + 5)
            await until(lambda: len(daemon.late.spool) == 0 if daemon.late else True)
            daemon.stop()
    finally:
        await anyio.to_thread.run_sync(cloud.kill)
    assert status.restarts == 0
    places: dict[bool, int] = {False: 0, True: 0}
    for event in [*sink.answers(), *sink.revisions()]:
        said = event.observation
        moved = stage.shown[said.frame.sequence]
        for box in said.detections.boxes:
            assert box.tolist() == pytest.approx(THERE if moved else HERE, abs=6)
            places[moved] += 1
    assert all(places.values()), "verdicts before and after"
    assert status.spooled > 0, "audits of the outage waited on disk, as pictures of their own"
    assert status.late_verdicts > 0
    told = registry.get_sample_value(
        "secondlook_edge_trust_audits_total", {"camera": "gate", "outcome": "missed"}
    )
    assert told is not None
    assert told > 0
    assert status.trust.startswith("uncertified"), "an outage certifies nothing"
