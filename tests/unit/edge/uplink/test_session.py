"""Canvas streams from the edge's uplink to the real service, over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from support.canvas import Asker, session_uplink
from support.cloud import FakeDetector, fake_cloud, picture
from support.edge import FakeCloud
from support.waiting import eventually
from unit.edge.uplink.test_client import Mail, question

from secondlook.cloud.service import RunningCloud
from secondlook.edge.uplink.session import SessionUplink
from secondlook.shared.errors import DeadlineExceeded, InvalidInput, ModelFailure, StateLost
from secondlook.shared.values import Purpose, Region

pytestmark = pytest.mark.anyio

CAR = (96, 96, 160, 144)
REGION = (Region(96, 80, 96, 80),)
IMAGE = picture(320, 240, CAR)


@asynccontextmanager
async def both(
    detector: FakeDetector | None = None, **changes: Any
) -> AsyncIterator[tuple[RunningCloud, SessionUplink]]:
    async with (
        fake_cloud(detector or FakeDetector()) as (cloud, _),
        session_uplink(f"127.0.0.1:{cloud.port}", **changes) as uplink,
    ):
        yield cloud, uplink


async def test_updates_get_their_verdicts() -> None:
    mail, asker = Mail(), Asker(320, 240)
    async with both() as (_, uplink):
        sent = [asker.escalation(IMAGE, REGION, Purpose.REFRESH) for _ in range(5)]
        for escalation in sent:
            await uplink.submit(escalation, mail, block=True)
        await uplink.wait_idle()
        assert uplink.pending == 0
    assert mail.failures == []
    assert [verdict.request_id for verdict in mail.verdicts] == ["q-1"] * 5
    for verdict in mail.verdicts:
        assert verdict.detections.boxes[0].tolist() == pytest.approx(CAR, abs=4)
        assert (verdict.model, verdict.version) == ("fake", "1")
        assert verdict.purpose is Purpose.REFRESH
    assert [verdict.regions for verdict in mail.verdicts] == [one.regions for one in sent]
    totals = uplink.meter.totals
    assert (totals.requests, totals.verdicts) == (5, 5)
    assert totals.wire_bytes >= totals.sent_bytes


class Exact:
    """A `Fare` that pays what was foreseen, and not a byte more."""

    def __init__(self, foreseen: int) -> None:
        self.foreseen = foreseen

    def attempt(self, bytes_on_wire: float, now_s: float) -> bool:
        return bytes_on_wire <= self.foreseen

    def close(self, now_s: float) -> None:
        pass


async def test_what_is_foreseen_pays_for_every_update() -> None:
    mail, asker = Mail(), Asker(320, 240)
    async with both(timeout_s=12.345) as (_, uplink):
        # The numbers of updates grow longer, too.
        for number in range(140):
            escalation = asker.escalation(IMAGE, REGION if number else ())
            fare = Exact(uplink.wire_bytes(escalation))
            await uplink.submit(escalation, mail, block=True, fare=fare)
        await uplink.wait_idle()
    assert mail.failures == []
    assert len(mail.verdicts) == 140


async def test_mosaics_go_the_old_way() -> None:
    mail = Mail()
    async with both() as (_, uplink):
        await uplink.submit(question(), mail)  # its picture is garbage: the service says so
        await mail.wait(1)
    assert isinstance(mail.failures[0][1], InvalidInput)


async def test_an_update_that_was_not_submitted_leaves_a_gap_that_is_not_sent() -> None:
    mail, asker = Mail(), Asker(320, 240)
    async with both() as (_, uplink):
        await uplink.submit(asker.escalation(IMAGE), mail)
        asker.escalation(IMAGE, REGION)
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(2)
        assert uplink.meter.totals.requests == 1
        asker.lost()
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(3)
    assert [type(error) for _, error in mail.failures] == [StateLost]
    assert len(mail.verdicts) == 2


async def test_where_too_many_wait_the_newest_fails() -> None:
    mail, asker, detector = Mail(), Asker(320, 240), FakeDetector()
    async with both(detector, queue=2) as (_, uplink):
        detector.hold()
        updates = [asker.escalation(IMAGE, REGION) for _ in range(30)]
        for escalation in updates:
            await uplink.submit(escalation, mail)
        assert mail.failures
        assert all(isinstance(error, StateLost) for _, error in mail.failures)
        detector.release()
        await uplink.wait_idle()
    assert len(mail.verdicts) + len(mail.failures) == 30
    assert len(mail.verdicts) >= 2


async def test_a_late_answer_fails_its_question_and_not_the_canvas() -> None:
    mail, asker, detector = Mail(), Asker(320, 240), FakeDetector()
    async with both(detector) as (_, uplink):
        await uplink.submit(asker.escalation(IMAGE), mail)
        await mail.wait(1)
        detector.hold()
        await uplink.submit(asker.escalation(IMAGE, REGION, useful_for_s=0.2), mail)
        await mail.wait(2)
        detector.release()
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(3)
    assert [type(error) for _, error in mail.failures] == [DeadlineExceeded]
    assert len(mail.verdicts) == 2


async def test_a_failing_model_fails_its_question_and_not_the_canvas() -> None:
    mail, asker, detector = Mail(), Asker(320, 240), FakeDetector()
    async with both(detector) as (_, uplink):
        await uplink.submit(asker.escalation(IMAGE), mail)
        await mail.wait(1)
        detector.broken = True
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(2)
        detector.broken = False
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(3)
    assert [type(error) for _, error in mail.failures] == [ModelFailure]


async def test_a_canvas_that_the_cloud_forgot_is_mended_by_a_key_frame() -> None:
    mail, asker = Mail(), Asker(320, 240)
    async with both() as (cloud, uplink):
        await uplink.submit(asker.escalation(IMAGE), mail)
        await mail.wait(1)
        for canvas in list(cloud.canvases._held):
            cloud.canvases.forget(canvas)
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(2)
        asker.lost()
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(3)
    assert [type(error) for _, error in mail.failures] == [StateLost]
    assert len(mail.verdicts) == 2


async def test_closing_answers_what_is_open_and_ends_the_canvas() -> None:
    mail, asker, detector = Mail(), Asker(320, 240), FakeDetector()
    async with fake_cloud(detector) as (cloud, _):
        async with session_uplink(f"127.0.0.1:{cloud.port}") as uplink:
            detector.hold()
            for _ in range(3):
                await uplink.submit(asker.escalation(IMAGE, REGION), mail)
            await anyio.to_thread.run_sync(detector.wait_entered)
        assert [type(error) for _, error in mail.failures] == [StateLost] * 3
        detector.release()
        await eventually(lambda: len(cloud.canvases) == 0)


async def test_each_camera_has_a_stream_of_its_own() -> None:
    mail, cameras = Mail(), [Asker(320, 240, camera=f"c{k}") for k in range(3)]
    async with both() as (cloud, uplink):
        for _ in range(3):
            for asker in cameras:
                await uplink.submit(asker.escalation(IMAGE, REGION), mail, block=True)
        await uplink.wait_idle()
        assert len(cloud.canvases) == 3
    assert len(mail.verdicts) == 9
    assert mail.failures == []


async def test_a_budget_that_does_not_pay_stops_the_canvas() -> None:
    class Broke:
        closed = 0

        def attempt(self, bytes_on_wire: float, now_s: float) -> bool:
            return False

        def close(self, now_s: float) -> None:
            self.closed += 1

    mail, asker, fare = Mail(), Asker(320, 240), Broke()
    async with both() as (_, uplink):
        await uplink.submit(asker.escalation(IMAGE), mail, fare=fare)
        await mail.wait(1)
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(2)
        asker.lost()
        await uplink.submit(asker.escalation(IMAGE, REGION), mail)
        await mail.wait(3)
    assert [type(error) for _, error in mail.failures] == [StateLost, StateLost]
    assert fare.closed == 1
    assert len(mail.verdicts) == 1


async def test_a_cloud_without_canvases_is_known_until_the_next_connection() -> None:
    mail, asker = Mail(), Asker(320, 240)
    async with FakeCloud().running() as old, session_uplink(old.address) as uplink:
        assert uplink.takes_canvases
        await uplink.submit(asker.escalation(IMAGE), mail)
        await mail.wait(1)
        assert isinstance(mail.failures[0][1], StateLost)
        assert not uplink.takes_canvases
        assert uplink.accepting, "mosaics may go on"
        await old.stop()
        await eventually(lambda: not uplink.accepting)
        assert uplink.takes_canvases, "another cloud may come"


async def test_who_is_stopped_while_waiting_for_room_gets_an_answer() -> None:
    mail, asker = Mail(), Asker(320, 240)
    detector = FakeDetector()
    detector.hold()
    async with both(detector, queue=1) as (_, uplink):
        submitted = 0
        async with anyio.create_task_group() as tasks:

            async def many() -> None:
                nonlocal submitted
                while True:
                    submitted += 1
                    await uplink.submit(asker.escalation(IMAGE, REGION), mail, block=True)

            tasks.start_soon(many)
            await anyio.to_thread.run_sync(detector.wait_entered)
            # One waits in the queue, and the next for room in it.
            await eventually(lambda: submitted == uplink.pending + 1)
            await eventually(lambda: uplink.pending > 16)
            tasks.cancel_scope.cancel()
        detector.release()
        await uplink.wait_idle()
    assert len(mail.verdicts) + len(mail.failures) == submitted
    assert [type(error) for _, error in mail.failures] == [StateLost]
