"""Each attempt is paid before it is made, and each question is settled exactly once."""

from __future__ import annotations

from pathlib import Path

import anyio
import grpc
import numpy as np
import pytest
import trustme
from prometheus_client import CollectorRegistry
from support.cloud import FakeDetector, settings, whole_frame
from support.edge import FakeCloud
from support.waiting import until

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.edge.control import Link
from secondlook.edge.uplink import BreakerState, Uplink, UplinkSettings
from secondlook.edge.uplink.framing import on_wire
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import Overloaded, SecondlookError, Unavailable
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Region, Verdict

pytestmark = pytest.mark.anyio


class Mail:
    """A `Reply` that notes the order of things."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.errors: list[SecondlookError] = []

    def verdict(self, verdict: Verdict) -> None:
        self.events.append("verdict")

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        self.events.append("failed")
        self.errors.append(error)


class Purse:
    """A `Fare` with so much in it."""

    def __init__(self, events: list[str], size: float = 1e9) -> None:
        self.events = events
        self.left = size
        self.paid: list[float] = []

    def attempt(self, bytes_on_wire: float, now_s: float) -> bool:
        if bytes_on_wire > self.left:
            return False
        self.left -= bytes_on_wire
        self.paid.append(bytes_on_wire)
        self.events.append("paid")
        return True

    def close(self, now_s: float) -> None:
        self.events.append("closed")


def question(number: int = 0, size: int = 1000) -> Escalation:
    return Escalation(
        request_id=f"q-{number}",
        camera="gate",
        sequence=number,
        captured_at=1_700_000_000.0,
        frame_width=320,
        frame_height=240,
        image=bytes(size),
        encoding=ImageEncoding.WEBP,
        placements=(Placement(Region(0, 0, 64, 64), 0, 0, 64, 64),),
    )


def uplink(address: str, link: Link | None = None, **changes: object) -> Uplink:
    quick = {"backoff_initial_s": 0.001, "backoff_max_s": 0.002, "reconnect_max_s": 0.1}
    made = UplinkSettings.model_validate({"address": address, **quick, **changes})
    return Uplink(made, SystemClock(), CollectorRegistry(), link)


async def test_an_answered_question_is_paid_then_closed_then_replied() -> None:
    events: list[str] = []
    async with FakeCloud().running() as cloud, uplink(cloud.address) as link:
        await link.submit(question(), Mail(events), fare=Purse(events))
        await link.wait_idle()
    assert events == ["paid", "closed", "verdict"]


async def test_retries_are_paid_too_and_one_that_cannot_be_is_not_made() -> None:
    events: list[str] = []
    async with FakeCloud().running() as cloud, uplink(cloud.address) as link:
        cloud.statuses = [grpc.StatusCode.UNAVAILABLE] * 3
        size = link.wire_bytes(question())
        purse, mail = Purse(events, 2.4 * size), Mail(events)
        await link.submit(question(), mail, fare=purse)
        await link.wait_idle()
        assert len(cloud.asked) == 2
    assert events == ["paid", "paid", "closed", "failed"]
    assert isinstance(mail.errors[0], Overloaded)


async def test_every_way_to_fail_closes() -> None:
    events: list[str] = []
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        async with uplink(cloud.address, max_in_flight=1, queue=1) as link:
            await link.submit(question(0), Mail(events), fare=Purse(events))
            await cloud.arrived.wait()
            await link.submit(question(1), Mail(events), fare=Purse(events))
            await link.submit(question(2), Mail(events), fare=Purse(events))
            assert events == ["paid", "closed", "failed"], "pushed out of the queue"
    assert events[3:] == ["closed", "failed"] * 2, "the uplink was closed"
    events.clear()
    async with uplink("127.0.0.1:1", enabled=False) as link:
        await link.submit(question(3), Mail(events), fare=Purse(events))
    assert events == ["closed", "failed"]


async def test_a_camera_that_is_stopped_while_it_waits_for_room_gets_its_reply() -> None:
    events: list[str] = []
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        async with uplink(cloud.address, max_in_flight=1, queue=1) as link:
            await link.submit(question(0), Mail([]), fare=Purse([]))
            await cloud.arrived.wait()
            await link.submit(question(1), Mail([]), fare=Purse([]))
            async with anyio.create_task_group() as tasks:

                async def wait() -> None:
                    await link.submit(question(2), Mail(events), block=True, fare=Purse(events))

                tasks.start_soon(wait)
                await anyio.lowlevel.checkpoint()
                assert events == []
                tasks.cancel_scope.cancel()
            assert events == ["closed", "failed"]


async def test_what_is_charged_is_not_less_than_what_passes() -> None:
    events: list[str] = []
    purse = Purse(events)
    async with FakeCloud().running() as cloud:
        port = int(cloud.address.rpartition(":")[2])
        async with (
            CountingProxy("127.0.0.1", port).running() as proxy,
            uplink(proxy.target) as link,
        ):
            sizes = (10, 100, 1000, 5000, 16_383, 16_400, 40_000, 200_000) * 4
            for number, size in enumerate(sizes):
                await link.submit(question(number, size), Mail(events), fare=purse)
                await link.wait_idle()
            passed = proxy.traffic
            charged = link.meter.totals.wire_bytes
    assert charged == sum(purse.paid)
    assert passed.up + passed.setup_up <= charged
    assert charged <= 1.02 * (passed.up + passed.setup_up) + 600


def test_framing_grows_with_what_it_frames() -> None:
    plain = on_wire(1000)
    assert 1058 <= plain <= 1200
    assert on_wire(1000, first=True) >= plain + 430
    assert on_wire(1000, tls=True) > plain
    assert on_wire(1000, tls=True, first=True) > on_wire(1000, tls=True) + 4000
    assert on_wire(1000, metadata=[("traceparent", "0" * 55)]) >= plain + 66
    assert on_wire(100_000) - 100_000 > on_wire(1000) - 1000


async def test_the_link_learns_from_answers() -> None:
    link = Link()
    async with FakeCloud().running() as cloud, uplink(cloud.address, link) as up:
        for number in range(4):
            await up.submit(question(number), Mail([]))
            await up.wait_idle()
    assert link.bandwidth is not None
    assert link.bandwidth > 0
    assert link.typical_bytes >= 1058
    assert link.forecast(1000) is not None


SICK = {"min_calls": 4, "open_s": 0.02, "open_max_s": 0.05, "window_s": 60}


async def test_a_cloud_that_fails_is_left_alone_probed_and_asked_again() -> None:
    events: list[str] = []
    mail = Mail(events)
    async with (
        FakeCloud().running() as cloud,
        uplink(cloud.address, max_attempts=1, breaker=SICK, max_in_flight=1) as link,
    ):
        cloud.statuses = [grpc.StatusCode.INTERNAL] * 4
        for number in range(4):
            await link.submit(question(number), mail)
            await link.wait_idle()
        assert link.breaker.state is not BreakerState.CLOSED
        assert not link.accepting
        assert link.outages.current is not None
        assert link.outages.current.reason == "breaker open"
        await link.submit(question(5), mail)
        assert isinstance(mail.errors[-1], Unavailable)
        assert len(cloud.asked) == 4, "nothing was sent"
        await until(lambda: link.accepting)
        # A service without health checks is alive; three probes have said so.
        assert link.meter.totals.probes >= 3
        await link.submit(question(6), mail)
        await link.wait_idle()
    assert events[-1] == "verdict"
    (outage,) = link.outages.all
    assert outage.ended_s is not None


async def test_probes_that_fail_open_it_again() -> None:
    mail = Mail([])
    async with FakeCloud().running() as cloud:
        address = cloud.address
        async with uplink(address, max_attempts=1, breaker={**SICK, "open_s": 0.2}) as link:
            cloud.statuses = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 4
            for number in range(4):
                await link.submit(question(number), mail)
                await link.wait_idle()
            assert link.breaker.opened == 1
            await cloud.stop()
            await until(lambda: link.breaker.opened >= 3)
            assert not link.accepting
            async with FakeCloud().running(int(address.rpartition(":")[2])):
                await until(lambda: link.accepting)
                await link.submit(question(9), mail)
                await link.wait_idle()
    assert mail.events[-1] == "verdict"


async def test_what_is_charged_under_tls_is_not_less_than_what_passes(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, who in (("cloud", "localhost"), ("edge", "edge-1")):
        issued = authority.issue_cert(who)
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    server = {
        "cert": str(tmp_path / "cloud.pem"),
        "key": str(tmp_path / "cloud.key"),
        "client_ca": str(tmp_path / "ca.pem"),
    }
    device = {
        "enabled": True,
        "ca": tmp_path / "ca.pem",
        "cert": tmp_path / "edge.pem",
        "key": tmp_path / "edge.key",
        "server_name": "localhost",
    }
    mail = Mail([])
    cloud_settings = settings(server={"port": 0, "tls": server})
    async with (
        running_cloud(cloud_settings, load=lambda _: [Loaded(FakeDetector())]) as cloud,
        CountingProxy("127.0.0.1", cloud.port).running() as proxy,
        uplink(proxy.target, tls=device, timeout_s=60) as link,
    ):
        for number, side in enumerate((16, 32, 64, 200, 300) * 2):
            noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
            await link.submit(whole_frame(noise, f"q-{number}"), mail)
            await link.wait_idle()
        passed, charged = proxy.traffic, link.meter.totals.wire_bytes
    assert mail.errors == []
    assert mail.events == ["verdict"] * 10
    assert passed.up + passed.setup_up <= charged
    assert charged <= 1.02 * (passed.up + passed.setup_up) + 5000 * passed.connections
