"""Networks that fail between the edge and the cloud: no frame waits, verdicts come back."""

from __future__ import annotations

import anyio
import grpc.aio
import pytest
from support.cloud import whole_frame
from support.edge import (
    FakeCloud,
    Film,
    MemorySink,
    ScriptedDetector,
    edge_settings,
    make_daemon,
    seen,
    verdict,
)
from support.gate import ALWAYS_ASK
from support.networks import blank
from support.proxy import fault_proxy
from support.waiting import until

from secondlook.edge.settings import EdgeSettings
from secondlook.edge.uplink import UplinkSettings, UplinkState, channel
from secondlook.rpc.v1.escalation_pb2_grpc import EscalationStub
from secondlook.shared.measure import Direction
from secondlook.shared.values import Escalation, Verdict
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

CAR = ((100.0, 100.0, 140.0, 140.0), 0.45, "car")


def _judge(asked: Escalation) -> Verdict:
    return verdict(asked, (CAR[0], 0.9, "bottle"))


def _settings(address: str, **uplink: object) -> EdgeSettings:
    quick = {
        "overflow": "drop_oldest",
        "reconnect_max_s": 0.1,
        "backoff_initial_s": 0.001,
        "timeout_s": 0.3,
        **uplink,
    }
    return edge_settings(address, uplink=quick, gate=ALWAYS_ASK)


async def test_nobody_there_costs_no_frame() -> None:
    async with FakeCloud().running() as cloud:
        address = cloud.address
    sink = MemorySink()
    daemon = make_daemon(
        _settings(address), ScriptedDetector(seen(CAR)), {"gate": Film(200)}, sinks=[sink]
    )
    await daemon.run()
    (status,) = daemon.statuses
    assert [e.observation.frame.sequence for e in sink.answers()] == list(range(200))
    assert daemon.uplink.state is UplinkState.DOWN
    assert status.verdicts == 0
    assert status.offline > 0, "no picture is encoded for a cloud that is known to be away"
    assert status.lost == status.escalations


async def test_a_black_hole_holds_up_no_answer_and_verdicts_resume_after_it() -> None:
    sink = MemorySink()
    async with FakeCloud(_judge).running() as cloud:
        port = int(cloud.address.rpartition(":")[2])
        async with fault_proxy(port) as proxy:
            film = Film(None)
            daemon = make_daemon(
                _settings(proxy.target), ScriptedDetector(seen(CAR)), {"gate": film}, sinks=[sink]
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: daemon.statuses[0].verdicts >= 2)
                proxy.stall()
                await until(lambda: daemon.statuses[0].lost >= 3)
                answered, revised = len(sink.answers()), daemon.statuses[0].verdicts
                await until(lambda: len(sink.answers()) >= answered + 100)
                assert daemon.statuses[0].verdicts == revised
                proxy.resume()
                await until(lambda: daemon.statuses[0].verdicts >= revised + 2)
                daemon.stop()
    sequences = [e.observation.frame.sequence for e in sink.answers()]
    assert sequences == list(range(len(sequences)))


async def test_a_cut_or_corrupted_connection_is_made_again() -> None:
    sink = MemorySink()
    async with FakeCloud(_judge).running() as cloud:
        port = int(cloud.address.rpartition(":")[2])
        async with fault_proxy(port) as proxy:
            daemon = make_daemon(
                _settings(proxy.target, timeout_s=5.0),
                ScriptedDetector(seen(CAR)),
                {"gate": Film(None)},
                sinks=[sink],
            )
            status = daemon.statuses[0]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                for harm in (
                    lambda: proxy.cut_after(Direction.UP, 10),
                    lambda: proxy.cut_after(Direction.DOWN, 10),
                    lambda: proxy.corrupt_next(Direction.UP),
                    lambda: proxy.corrupt_next(Direction.DOWN),
                ):
                    before = status.verdicts
                    await until(lambda count=before: status.verdicts > count)
                    harm()
                before = status.verdicts
                await until(lambda: status.verdicts > before + 2)
                daemon.stop()
    assert status.restarts == 0
    sequences = [e.observation.frame.sequence for e in sink.answers()]
    assert sequences == list(range(len(sequences)))


@pytest.mark.heavy
async def test_a_connection_on_which_no_ping_is_answered_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten seconds: no shorter keepalive is to be had."""
    monkeypatch.setattr(channel, "PING_TIMEOUT_MS", 1000)
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        async with fault_proxy(int(cloud.address.rpartition(":")[2])) as proxy:
            settings = UplinkSettings(address=proxy.target, keepalive_s=10.0)
            async with channel.open_channel(settings, None) as opened:
                question = request_to_proto(whole_frame(blank(64, 64)))
                asked = EscalationStub(opened).Escalate(question, timeout=600.0)
                await cloud.arrived.wait()
                proxy.stall()
                # gRPC's own patience would be a minute more.
                with anyio.fail_after(40.0), pytest.raises(grpc.aio.AioRpcError) as failed:
                    await asked
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
