"""What was asked again outlives a restart of the real command."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import anyio.to_thread
import pytest
from support.cloud import CloudProcess, channel_to, cloud_process, escalation_stub, whole_frame
from support.networks import blank, paint, write_bright_spot_model

from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto

pytestmark = pytest.mark.anyio


def counted(cloud: CloudProcess, name: str) -> float:
    """The sum of a metric."""
    url = f"http://127.0.0.1:{cloud.ports['metrics_port']}/metrics"
    with urllib.request.urlopen(url, timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def test_answers_outlive_a_restart_unless_the_model_is_another(tmp_path: Path) -> None:
    write_bright_spot_model(tmp_path / "heavy.onnx")
    frame = blank(640, 480)
    paint(frame, (80, 120, 240, 280), "car", score=0.9)
    asked = whole_frame(frame, "whole", min_score=0.3)
    (tmp_path / "cloud.toml").write_text(
        "[server]\nport = 0\n[memory]\nurl = 'sqlite:///memory.db'\n"
        "[[models]]\nname = 'heavy'\npath = 'heavy.onnx'\nversion = '7'\n"
    )

    async def ask(cloud: CloudProcess, times: int) -> list[list[float]]:
        async with channel_to(cloud.port) as channel:
            stub = escalation_stub(channel)
            for _ in range(times):
                reply = await stub.Escalate(request_to_proto(asked), timeout=30)
        return list(verdict_from_proto(reply, asked).detections.boxes.tolist())

    ran = "secondlook_cloud_engine_batch_rows_count"
    with cloud_process(tmp_path, "--config", "cloud.toml") as cloud:
        boxes = await ask(cloud, 2)
        assert await anyio.to_thread.run_sync(counted, cloud, ran) == 1
        assert cloud.terminate() == 0
    with cloud_process(tmp_path, "--config", "cloud.toml") as cloud:
        assert (
            await anyio.to_thread.run_sync(counted, cloud, "secondlook_cloud_cache_warmed_total")
            == 1
        )
        assert await ask(cloud, 1) == boxes
        assert await anyio.to_thread.run_sync(counted, cloud, ran) == 0
        assert cloud.terminate() == 0
    # Another file under the same name and version.
    write_bright_spot_model(tmp_path / "heavy.onnx", gain=0.5)
    with cloud_process(tmp_path, "--config", "cloud.toml") as cloud:
        await ask(cloud, 1)
        assert await anyio.to_thread.run_sync(counted, cloud, ran) == 1
        assert cloud.terminate() == 0
