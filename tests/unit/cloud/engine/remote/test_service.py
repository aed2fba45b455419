"""A service whose models are another service's: what an edge asks the one, the other answers."""

from __future__ import annotations

import pytest
from support.cloud import (
    FakeDetector,
    channel_to,
    escalation_stub,
    fake_cloud,
    picture,
    whole_frame,
)
from support.cloud import settings as settings_of

from secondlook.cloud.service import running_cloud
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("cached", [False, True])
async def test_escalations_are_answered_by_the_models_of_another_service(cached: bool) -> None:
    async with fake_cloud(FakeDetector("heavy")) as (far, _):
        there = {"kind": "remote", "remote": {"address": f"127.0.0.1:{far.port}"}}
        settings = settings_of(engine=there, cache={"enabled": cached})
        async with running_cloud(settings) as near, channel_to(near.port) as channel:
            asked = whole_frame(picture(64, 48, (10, 8, 20, 24)), min_score=0.1)
            for _ in range(2):
                reply = await escalation_stub(channel).Escalate(request_to_proto(asked), timeout=30)
                verdict = verdict_from_proto(reply, asked)
                assert verdict.model == "heavy"
                assert verdict.detections.boxes.tolist() == [[10, 8, 20, 24]]
                assert verdict.detections.class_names() == ["car"]
            stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            ready = await stub.ModelReady(pb.ModelReadyRequest(name="heavy.detect"), timeout=30)  # type: ignore[misc]
            assert ready.ready
