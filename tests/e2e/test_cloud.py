"""``secondlook cloud serve``, the real command, asked over real connections."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.cloud import channel_to, cloud_process, escalation_stub, one_region, whole_frame
from support.networks import blank, paint, write_bright_spot_model
from support.redis import redis_server

from secondlook.rpc.v1 import context_memory_pb2, context_memory_pb2_grpc
from secondlook.shared.values import Region
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "secondlook.cli", "cloud", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.anyio
async def test_serves_two_models_and_the_memory_in_redis(tmp_path: Path) -> None:
    heavy = write_bright_spot_model(tmp_path / "heavy.onnx")
    doubtful = write_bright_spot_model(tmp_path / "doubtful.onnx", gain=0.5)
    with redis_server() as redis:
        (tmp_path / "cloud.toml").write_text(
            f'[server]\nport = 0\n[memory]\nurl = "{redis.url}"\n'
            f'[[models]]\nname = "heavy"\npath = "{heavy}"\nversion = "7"\n'
            f'[[models]]\nname = "doubtful"\npath = "{doubtful}"\n'
            '[log]\nformat = "json"\n'
        )
        frame = blank(640, 480)
        paint(frame, (80, 120, 240, 280), "car", score=0.9)
        whole = whole_frame(frame, "whole", min_score=0.3)
        region = one_region(frame, Region(64, 96, 224, 224), "region", model="doubtful")
        with cloud_process(tmp_path, "--config", "cloud.toml") as cloud:
            async with channel_to(cloud.port) as channel:
                stub = escalation_stub(channel)
                verdict = verdict_from_proto(
                    await stub.Escalate(request_to_proto(whole), timeout=10), whole
                )
                assert verdict.detections.class_names() == ["car"]
                assert verdict.detections.boxes[0] == pytest.approx([80, 120, 240, 280], abs=3)
                assert verdict.detections.scores[0] == pytest.approx(0.9, abs=0.05)
                assert (verdict.model, verdict.version) == ("heavy", "7")
                verdict = verdict_from_proto(
                    await stub.Escalate(request_to_proto(region), timeout=10), region
                )
                assert verdict.detections.boxes[0] == pytest.approx([80, 120, 240, 280], abs=3)
                assert verdict.detections.scores[0] == pytest.approx(0.45, abs=0.05)
                assert verdict.model == "doubtful"

                memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
                saved = await memory.Save(
                    context_memory_pb2.SaveRequest(id="site/cam/x", data=b'{"n":1}', writer="e")
                )
                assert saved.record.version == 1

                health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
                assert (await health).status == health_pb2.HealthCheckResponse.SERVING
                metadata = dict(await health.initial_metadata())
                assert metadata["secondlook-version"] == version("secondlook")
            assert cloud.terminate() == 0
        events = [json.loads(line) for line in cloud.log.read_text().splitlines()]
        serving = next(event for event in events if event["event"] == "serving")
        assert serving["port"] == cloud.port
        assert serving["models"] == ["heavy", "doubtful"]


@pytest.mark.anyio
async def test_without_settings_it_serves_the_demo_model(tmp_path: Path) -> None:
    asked = whole_frame(blank(640, 360), "r1")
    with cloud_process(tmp_path, "--port", "0") as cloud:
        async with channel_to(cloud.port) as channel:
            reply = await escalation_stub(channel).Escalate(request_to_proto(asked), timeout=60)
        assert cloud.terminate() == 0
    assert reply.model == "street_heavy"
    assert (tmp_path / "secondlook-cloud.db").exists()


def test_help_shows_examples() -> None:
    done = command("serve", "--help")
    assert done.returncode == 0
    assert "secondlook cloud serve --config cloud.toml" in done.stdout
    assert "--ready-file" in done.stdout


@pytest.mark.real_material
@pytest.mark.anyio
async def test_a_real_detector_on_a_real_camera(tmp_path: Path, material: Path) -> None:
    model = tmp_path / "yolov8s.onnx"
    shutil.copy(material / "models" / "yolov8s_640.onnx", model)
    capture = cv2.VideoCapture(str(material / "clips" / "bottle-detection.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 300)
    _, frame = capture.read()
    capture.release()
    whole = whole_frame(frame, "whole", min_score=0.25)
    with cloud_process(tmp_path, "--port", "0", "--model", str(model)) as cloud:
        async with channel_to(cloud.port) as channel:
            stub = escalation_stub(channel)
            seen = verdict_from_proto(
                await stub.Escalate(request_to_proto(whole), timeout=60), whole
            ).detections.of_classes(["bottle"])
            assert len(seen) >= 1
            x1, y1, x2, y2 = (int(v) for v in seen.boxes[0])
            around = Region(x1 - 16, y1 - 16, x2 - x1 + 32, y2 - y1 + 32)
            asked = one_region(frame, around, "region", min_score=0.25)
            verdict = verdict_from_proto(
                await stub.Escalate(request_to_proto(asked), timeout=60), asked
            )
    # The region on the camera's background is judged as the whole frame was.
    assert verdict.detections.class_names()[0] == "bottle"
    assert verdict.detections.boxes[0] == pytest.approx(seen.boxes[0], abs=3)
    assert verdict.detections.scores[0] == pytest.approx(seen.scores[0], abs=0.05)
