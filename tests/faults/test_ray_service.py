"""The whole service on a Ray cluster: an edge asks, a replica answers."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest
from support.cloud import channel_to, escalation_stub, whole_frame
from support.cloud import settings as settings_of
from support.networks import blank, paint, write_bright_spot_model

from secondlook.cloud.service import running_cloud
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto

pytest.importorskip("ray")

# Ray leaves sockets and files to the collector.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore"),
]


async def test_an_escalation_is_answered_by_a_replica(tmp_path: Path) -> None:
    from support.ray_cluster import shared_cluster

    file = await anyio.to_thread.run_sync(write_bright_spot_model, tmp_path / "heavy.onnx")
    settings = settings_of(
        engine={"kind": "ray", "ray": {"address": shared_cluster().address, "cpus": 0.2}},
        models=[{"name": "heavy", "path": str(file), "threads": 1}],
    )
    frame = blank(320, 240)
    paint(frame, (40, 60, 120, 140), "car", score=0.9)
    asked = whole_frame(frame, min_score=0.3)
    async with running_cloud(settings) as cloud, channel_to(cloud.port) as channel:
        reply = await escalation_stub(channel).Escalate(request_to_proto(asked), timeout=30)
        verdict = verdict_from_proto(reply, asked)
        assert verdict.model == "heavy"
        assert verdict.detections.boxes[0] == pytest.approx([40, 60, 120, 140], abs=3)
