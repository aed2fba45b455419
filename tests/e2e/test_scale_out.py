"""Several services behind one balancing channel; Redis is the only state. Real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from support.cloud import channel_to, cloud_process, escalation_stub, whole_frame
from support.networks import blank, paint, write_bright_spot_model
from support.redis import redis_server

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto

pytestmark = pytest.mark.anyio

# What a balancer in front does: any replica, another one where one is gone.
BALANCED = """{"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}],
  "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "0.5s",
  "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""

QUESTIONS = 40


async def test_a_replica_that_dies_takes_nothing_with_it(tmp_path: Path) -> None:
    heavy = write_bright_spot_model(tmp_path / "heavy.onnx")
    frame = blank(320, 240)
    paint(frame, (40, 60, 120, 140), "car", score=0.9)
    with redis_server() as redis:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
            (folder / "cloud.toml").write_text(
                f'[server]\nport = 0\n[memory]\nurl = "{redis.url}"\n'
                f'[[models]]\nname = "heavy"\npath = "{heavy}"\n'
            )
        with (
            cloud_process(folders[0], "--config", "cloud.toml") as one,
            cloud_process(folders[1], "--config", "cloud.toml") as two,
        ):
            target = f"ipv4:127.0.0.1:{one.port},127.0.0.1:{two.port}"
            options = [
                ("grpc.service_config", BALANCED),
                ("grpc.use_local_subchannel_pool", 1),
            ]
            async with channel_to(one.port) as to_one, channel_to(two.port) as to_two:
                for version in range(4):
                    # Each save goes to the other replica, and builds on what the last one saved.
                    memory = context_memory_pb2_grpc.ContextMemoryStub(
                        (to_one, to_two)[version % 2]
                    )
                    saved = await memory.Save(
                        pb.SaveRequest(
                            id="site/cam/x",
                            data=b'{"n":%d}' % version,
                            writer="edge",
                            expected_version=version,
                        ),
                        timeout=30,
                    )
                    assert saved.record.version == version + 1
            async with grpc.aio.insecure_channel(target, options=options) as channel:
                stub = escalation_stub(channel)

                async def ask(number: int) -> None:
                    asked = whole_frame(frame, f"q{number}", min_score=0.3)
                    reply = await stub.Escalate(request_to_proto(asked), timeout=30)
                    found = verdict_from_proto(reply, asked).detections
                    assert found.boxes[0] == pytest.approx([40, 60, 120, 140], abs=3)

                first = [asyncio.ensure_future(ask(number)) for number in range(QUESTIONS)]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                one.kill()
                await asyncio.gather(*first, *(ask(number) for number in range(QUESTIONS, 60)))
                memory = context_memory_pb2_grpc.ContextMemoryStub(channel)
                loaded = await memory.Load(pb.LoadRequest(id="site/cam/x"), timeout=30)
                assert loaded.record.version == 4
                assert loaded.record.data == b'{"n":3}'
