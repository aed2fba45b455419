"""The uplink against a real gRPC service on loopback."""

from __future__ import annotations

import anyio
import grpc
import pytest
from prometheus_client import CollectorRegistry
from support.edge import FakeCloud, verdict
from support.waiting import until

from secondlook.edge.uplink import Uplink, UplinkSettings, UplinkState
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    SecondlookError,
    Unavailable,
)
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Region, Verdict

pytestmark = pytest.mark.anyio

CAR = ((10.0, 10.0, 50.0, 50.0), 0.9, "car")


class Mail:
    """A `Reply` that collects, and can be waited for."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.failures: list[tuple[str, SecondlookError]] = []
        self._changed = anyio.Event()

    def verdict(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self._wake()

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        self.failures.append((escalation.request_id, error))
        self._wake()

    async def wait(self, count: int) -> None:
        while len(self.verdicts) + len(self.failures) < count:
            await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def question(number: int = 0) -> Escalation:
    return Escalation(
        request_id=f"q-{number}",
        camera="gate",
        sequence=number,
        captured_at=1_700_000_000.0,
        frame_width=320,
        frame_height=240,
        image=b"picture",
        encoding=ImageEncoding.WEBP,
        placements=(Placement(Region(0, 0, 64, 64), 0, 0, 64, 64),),
    )


def uplink(address: str, **changes: object) -> Uplink:
    quick = {"backoff_initial_s": 0.001, "backoff_max_s": 0.002, "reconnect_max_s": 0.2}
    settings = UplinkSettings.model_validate({"address": address, **quick, **changes})
    return Uplink(settings, SystemClock(), CollectorRegistry())


async def test_a_question_gets_its_verdict() -> None:
    mail = Mail()
    async with (
        FakeCloud(lambda asked: verdict(asked, CAR)).running() as cloud,
        uplink(cloud.address) as link,
    ):
        await link.submit(question(), mail)
        await mail.wait(1)
        assert link.state is UplinkState.READY
        assert link.pending == 0
    assert mail.verdicts[0].detections.class_names() == ["car"]
    assert mail.verdicts[0].regions == question().regions
    assert cloud.asked == [question()]
    totals = link.meter.totals
    assert (totals.requests, totals.verdicts, totals.failures) == (1, 1, 0)
    assert totals.sent_bytes > len(b"picture")
    assert totals.received_bytes > 0


async def test_what_may_be_retried_is_retried() -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud, uplink(cloud.address) as link:
        cloud.statuses = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
        await link.submit(question(), mail)
        await mail.wait(1)
    assert len(mail.verdicts) == 1
    assert len(cloud.asked) == 3
    assert {asked.request_id for asked in cloud.asked} == {"q-0"}
    assert link.meter.totals.retries == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, SecondlookError),
    ],
)
async def test_what_cannot_get_better_is_not_retried(
    status: grpc.StatusCode, kind: type[SecondlookError]
) -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud, uplink(cloud.address) as link:
        cloud.statuses = [status]
        await link.submit(question(), mail)
        await mail.wait(1)
    assert len(cloud.asked) == 1
    assert isinstance(mail.failures[0][1], kind)


async def test_retries_stay_within_their_budget() -> None:
    mail = Mail()
    async with (
        FakeCloud().running() as cloud,
        uplink(cloud.address, retry_burst=2.0, retry_ratio=0.0, max_in_flight=1, queue=20) as link,
    ):
        cloud.statuses = [grpc.StatusCode.UNAVAILABLE] * 100
        for number in range(10):
            await link.submit(question(number), mail)
        await mail.wait(10)
    assert len(cloud.asked) == 12
    assert all(isinstance(error, Unavailable) for _, error in mail.failures)


async def test_a_full_queue_gives_up_its_oldest_question() -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        async with uplink(cloud.address, max_in_flight=1, queue=2) as link:
            await link.submit(question(0), mail)
            await cloud.arrived.wait()
            for number in range(1, 5):
                await link.submit(question(number), mail)
            assert [name for name, _ in mail.failures] == ["q-1", "q-2"]
            assert all(isinstance(error, Overloaded) for _, error in mail.failures)
            cloud.hold.set()
            await link.wait_idle()
    assert sorted(one.request_id for one in mail.verdicts) == ["q-0", "q-3", "q-4"]


async def test_a_blocking_camera_waits_and_loses_nothing() -> None:
    mail = Mail()
    async with (
        FakeCloud().running() as cloud,
        uplink(cloud.address, max_in_flight=1, queue=1) as link,
    ):
        for number in range(10):
            await link.submit(question(number), mail, block=True)
        await link.wait_idle()
    assert len(mail.verdicts) == 10
    assert mail.failures == []


async def test_an_answer_that_would_come_too_late_is_not_waited_for() -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        async with uplink(cloud.address, timeout_s=0.05) as link:
            await link.submit(question(), mail)
            await mail.wait(1)
    assert isinstance(mail.failures[0][1], DeadlineExceeded)


async def test_nobody_there_is_known_at_once_and_refused_without_waiting() -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud:
        address = cloud.address
    async with uplink(address) as link:
        await link.submit(question(0), mail)
        await mail.wait(1)
        assert isinstance(mail.failures[0][1], Unavailable)
        assert link.state is UplinkState.DOWN
        assert not link.accepting
        await link.submit(question(1), mail)
        assert len(mail.failures) == 2, "refused before submit returned"


async def test_it_comes_back_when_the_cloud_does() -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud:
        port = int(cloud.address.rpartition(":")[2])
    async with uplink(cloud.address) as link:
        await link.submit(question(0), mail)
        await mail.wait(1)
        async with FakeCloud().running(port):
            await until(lambda: link.accepting)
            await link.submit(question(1), mail)
            await mail.wait(2)
    assert [one.request_id for one in mail.verdicts] == ["q-1"]


async def test_closing_answers_every_open_question() -> None:
    mail = Mail()
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        async with uplink(cloud.address, max_in_flight=1) as link:
            await link.submit(question(0), mail)
            await link.submit(question(1), mail)
            await cloud.arrived.wait()
    assert sorted(name for name, _ in mail.failures) == ["q-0", "q-1"]


async def test_a_verdict_that_is_not_one_is_an_error_and_the_next_is_taken() -> None:
    mail = Mail()

    def nonsense(asked: Escalation) -> Verdict:
        answer = verdict(asked, CAR)
        if asked.sequence == 0:
            object.__setattr__(answer, "request_id", "somebody-else")
        return answer

    async with FakeCloud(nonsense).running() as cloud, uplink(cloud.address) as link:
        await link.submit(question(0), mail)
        await link.submit(question(1), mail)
        await mail.wait(2)
    assert isinstance(mail.failures[0][1], InvalidInput)
    assert [one.request_id for one in mail.verdicts] == ["q-1"]


async def test_switched_off_it_takes_nothing() -> None:
    mail = Mail()
    async with uplink("127.0.0.1:1", enabled=False) as link:
        assert link.state is UplinkState.OFF
        assert not link.accepting
        await link.submit(question(), mail)
    assert len(mail.failures) == 1
