"""Where the questions of a camera go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import grpc
import pytest
from prometheus_client import CollectorRegistry
from support.edge import FakeCloud
from support.waiting import until

from secondlook.edge.control import BudgetSettings, Controller
from secondlook.edge.daemon.asking import Asking, Way
from secondlook.edge.daemon.inbox import Inbox
from secondlook.edge.daemon.meter import CameraMeter
from secondlook.edge.daemon.status import CameraStatus
from secondlook.edge.uplink import Uplink, UplinkSettings
from secondlook.edge.uplink.late import LateSender, LateVerdict
from secondlook.edge.uplink.settings import SpoolSettings
from secondlook.edge.uplink.spool import Spool
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import DeadlineExceeded, InvalidInput, StateLost, Unavailable
from secondlook.shared.values import (
    CanvasUpdate,
    Escalation,
    ImageEncoding,
    Placement,
    Purpose,
    Region,
)

pytestmark = pytest.mark.anyio

AUDIT, UNSURE = Purpose.AUDIT, Purpose.UNSURE


def question(number: int = 0, purpose: Purpose = UNSURE, size: int = 1000) -> Escalation:
    return Escalation(
        request_id=f"q-{number}",
        camera="gate",
        sequence=number,
        captured_at=1_700_000_000.0,
        frame_width=320,
        frame_height=240,
        image=bytes(size),
        encoding=ImageEncoding.WEBP,
        placements=(Placement(Region(0, 0, 320, 240), 0, 0, 320, 240),),
        purpose=purpose,
    )


class Rig:
    """An `Asking` and what is around it."""

    def __init__(self, uplink: Uplink, folder: Path, **budget: Any) -> None:
        clock = SystemClock()
        self.status = CameraStatus("gate")
        self.inbox = Inbox()
        # A minute has passed since the start, so that there is budget.
        start_s = clock.monotonic() - 60
        self.controller = Controller(BudgetSettings(**budget), {"gate": None}, start_s)
        self.registry = CollectorRegistry()
        settings = SpoolSettings(path=folder, per_s=1000)
        self.spool = Spool(folder, settings, clock.wall)
        self.late = LateSender(self.spool, uplink, self.controller, settings, clock, self.registry)
        self.uplink = uplink
        around: Any = SimpleNamespace(
            uplink=uplink,
            controller=self.controller,
            meter=CameraMeter(self.registry),
            clock=clock,
            late=self.late,
            decisions=None,
        )
        self.asking = Asking("gate", around, self.status, self.inbox, self._by_itself, block=False)
        self.by_itself: Escalation | None = None

    async def _by_itself(self, escalation: Escalation) -> Escalation | None:
        return self.by_itself


@asynccontextmanager
async def rig(cloud: FakeCloud, folder: Path, **budget: Any) -> AsyncIterator[Rig]:
    settings = UplinkSettings(address=cloud.address, reconnect_max_s=0.1)
    async with Uplink(settings, SystemClock(), CollectorRegistry()) as uplink:
        made = Rig(uplink, folder, **budget)
        await made.late.open()
        yield made


async def test_what_is_paid_for_goes_to_the_cloud(tmp_path: Path) -> None:
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path, kb_per_s=100) as it:
        allowance = it.asking.allowance()
        assert it.asking.way(UNSURE, allowance) is Way.NOW
        assert await it.asking.ask(question(), Way.NOW, late=True) is Way.NOW
        await it.uplink.wait_idle()
        assert len(cloud.asked) == 1
        spent = it.controller.bytes.mean("gate")
    assert (it.status.escalations, it.status.late, it.status.unpaid) == (1, 1, 0)
    assert spent >= 0
    assert len(it.spool) == 0


async def test_without_budget_audits_wait_on_disk_and_the_rest_is_not_asked(tmp_path: Path) -> None:
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path, kb_per_s=0) as it:
        allowance = it.asking.allowance()
        assert it.asking.way(UNSURE, allowance) is Way.NOWHERE
        assert it.asking.way(AUDIT, allowance) is Way.DISK
        assert await it.asking.ask(question(1, AUDIT), Way.DISK, late=False) is Way.DISK
        # What turns out larger than what is left goes the same ways.
        assert await it.asking.ask(question(2, AUDIT), Way.NOW, late=False) is Way.DISK
        assert await it.asking.ask(question(3, UNSURE), Way.NOW, late=False) is Way.NOWHERE
    assert cloud.asked == []
    assert (it.status.unpaid, it.status.spooled, len(it.spool)) == (4, 2, 2)


async def test_what_the_network_failed_is_kept_and_what_was_wrong_is_not(tmp_path: Path) -> None:
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path) as it:
        keep = it.asking.keep_failed
        assert await keep(question(1, AUDIT), Unavailable("away"))
        assert await keep(question(2, AUDIT), DeadlineExceeded("late"))
        assert not await keep(question(3, AUDIT), InvalidInput("wrong"))
        assert not await keep(question(4, UNSURE), Unavailable("away"))
    assert len(it.spool) == 2


async def test_an_update_of_a_canvas_is_kept_as_a_picture_or_not_at_all(tmp_path: Path) -> None:
    update = replace(
        question(1, AUDIT),
        encoding=ImageEncoding.H264,
        canvas=CanvasUpdate(320, 240, 1, key=True, rectangles=(), epoch=1),
    )
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path) as it:
        assert not await it.asking.keep_failed(update, StateLost("gone"))
        assert len(it.spool) == 0
        it.by_itself = question(1, AUDIT)
        assert await it.asking.keep_failed(update, StateLost("gone"))
        kept = await anyio.to_thread.run_sync(it.spool.oldest)
    assert kept is not None
    assert kept.escalation.canvas is None


async def test_why_the_cloud_cannot_be_asked_is_said(tmp_path: Path) -> None:
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path) as it:
        assert it.asking.away() == ""
        await cloud.stop()
        await it.uplink.submit(question(), it.inbox)
        await until(lambda: it.asking.away() != "")
        assert it.asking.away() == "the cloud cannot be reached"
    settings = UplinkSettings(enabled=False)
    async with Uplink(settings, SystemClock(), CollectorRegistry()) as uplink:
        assert Rig(uplink, tmp_path / "off").asking.away() == "the uplink is off"


async def test_late_questions_are_sent_in_order_and_paid_for(tmp_path: Path) -> None:
    got: list[LateVerdict] = []
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path, kb_per_s=50) as it:
        for number in range(4):
            await it.late.keep(question(number, AUDIT), str(number).encode())
        it.late.receive("gate", got.append)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.late.run)
            await until(lambda: len(got) == 4)
            tasks.cancel_scope.cancel()
        name, labels = "secondlook_edge_spool_fate_total", {"fate": "taken"}
        assert it.registry.get_sample_value(name, labels) == 4
    assert [late.note for late in got] == [b"0", b"1", b"2", b"3"]
    assert [late.verdict.sequence for late in got] == [0, 1, 2, 3]
    assert all(late.age_s >= 0 for late in got)


async def test_a_late_question_that_is_wrong_does_not_hold_up_the_others(tmp_path: Path) -> None:
    got: list[LateVerdict] = []
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path) as it:
        cloud.statuses = [grpc.StatusCode.INVALID_ARGUMENT]
        for number in range(2):
            await it.late.keep(question(number, AUDIT))
        it.late.receive("gate", got.append)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.late.run)
            await until(lambda: len(got) == 1)
            tasks.cancel_scope.cancel()
    assert got[0].verdict.sequence == 1
    assert it.late.rejected == 1


async def test_a_cloud_that_is_sick_gets_another_try_and_not_for_ever(tmp_path: Path) -> None:
    got: list[LateVerdict] = []
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path) as it:
        cloud.statuses = [grpc.StatusCode.INTERNAL]
        await it.late.keep(question(0, AUDIT))
        it.late.receive("gate", got.append)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.late.run)
            await until(lambda: len(got) == 1)
            assert len(cloud.asked) == 2
            cloud.statuses = [grpc.StatusCode.INTERNAL] * 3
            await it.late.keep(question(1, AUDIT))
            await until(lambda: it.late.rejected == 1)
            tasks.cancel_scope.cancel()
    assert len(cloud.asked) == 5
    assert len(it.spool) == 0


async def test_a_question_of_a_camera_that_is_gone_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secondlook.edge.uplink.late._PATIENCE_S", 0.0)
    async with FakeCloud().running() as cloud, rig(cloud, tmp_path) as it:
        await it.late.keep(question(0, AUDIT))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.late.run)
            await until(lambda: it.late.orphaned == 1)
            tasks.cancel_scope.cancel()
    assert cloud.asked == []
    assert len(it.spool) == 0
