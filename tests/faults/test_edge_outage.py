"""The link is cut: frames are answered, audits wait on disk, and afterwards there is no burst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.edge import (
    FakeCloud,
    Film,
    MemorySink,
    ScriptedDetector,
    edge_settings,
    make_daemon,
    paced_film,
    seen,
    textured,
    verdict,
)
from support.gate import ALWAYS_ASK
from support.waiting import until
from support.wire import TimedProxy

from secondlook.edge.daemon import Daemon
from secondlook.edge.settings import EdgeSettings
from secondlook.edge.uplink import UplinkState, drift
from secondlook.shared.values import Purpose

pytestmark = pytest.mark.anyio

RATE, BURST_S = 60_000, 1.0
PICTURES = [textured(seed=seed) for seed in range(8)]


def _settings(address: str, folder: Path, **uplink: Any) -> EdgeSettings:
    quick = {
        "overflow": "drop_oldest",
        "reconnect_max_s": 0.1,
        "backoff_initial_s": 0.001,
        "timeout_s": 0.3,
        "max_attempts": 1,
        "breaker": {"min_calls": 4, "open_s": 0.1, "open_max_s": 0.2, "slow_s": 0.25},
        "spool": {"path": str(folder), "per_s": 1000, "budget_share": 0.5},
        **uplink,
    }
    return edge_settings(
        address,
        uplink=quick,
        trust={"audit_rate": 0.1},
        budget={"kb_per_s": RATE / 1000, "burst_s": BURST_S, "audit_share": 0.5},
    )


def _daemon(settings: EdgeSettings, sink: MemorySink, registry: CollectorRegistry) -> Daemon:
    # About a hundred frames a second: many audits.
    film = paced_film(PICTURES, 0.01)
    return make_daemon(
        settings, ScriptedDetector(seen()), {"gate": film}, sinks=[sink], registry=registry
    )


def _all_is_accounted_for(daemon: Daemon, sink: MemorySink) -> None:
    """Every frame has its answer, and every question its end."""
    (status,) = daemon.statuses
    answers = [event.observation for event in sink.answers()]
    assert [one.frame.sequence for one in answers] == list(range(len(answers)))
    decided = [one.decision for one in answers if one.decision and one.decision.regions]
    audits = sum(one.purpose is Purpose.AUDIT for one in decided)
    assert len(decided) == status.escalations + status.offline + status.unpaid
    assert daemon.late is not None
    counts = daemon.late.spool.counts
    assert counts.stored == status.spooled
    assert counts.stored == counts.taken + len(daemon.late.spool)
    assert (counts.corrupt, counts.failed, counts.crowded_out, counts.stale) == (0, 0, 0, 0)
    assert counts.taken == status.late_verdicts + daemon.late.orphaned + daemon.late.rejected
    # Audits that never went at once all went to the disk; of the others, those that failed did.
    at_once = audits - status.audits
    failed = status.spooled - at_once
    assert failed >= 0
    assert status.escalations == status.verdicts - status.late_verdicts + status.lost + failed


@pytest.mark.parametrize("harm", ["cut", "black hole"])
async def test_an_outage_loses_nothing_and_ends_without_a_burst(tmp_path: Path, harm: str) -> None:
    sink, registry = MemorySink(), CollectorRegistry()
    async with FakeCloud(lambda asked: verdict(asked)).running() as cloud:
        proxy = TimedProxy("127.0.0.1", int(cloud.address.rpartition(":")[2]))
        async with proxy.running():
            daemon = _daemon(_settings(proxy.target, tmp_path), sink, registry)
            (status,) = daemon.statuses
            assert daemon.late is not None
            spool = daemon.late.spool
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: status.verdicts >= 8)
                if harm == "cut":
                    proxy.refuse()
                    await proxy.cut()
                else:
                    proxy.stall()
                await until(lambda: daemon.uplink.outages.current is not None)
                waiting, answered = len(spool), status.answers
                await until(lambda: len(spool) >= waiting + 10)
                # Frames are answered all the while.
                await until(lambda: status.answers >= answered + 50)
                assert not daemon.uplink.accepting
                gauge = registry.get_sample_value("secondlook_edge_spool_questions")
                assert gauge is not None
                assert gauge >= 10
                proxy.heal()
                await until(lambda: status.late_verdicts >= 10)
                await until(lambda: daemon.uplink.accepting)
                fresh = status.verdicts - status.late_verdicts
                await until(lambda: status.verdicts - status.late_verdicts > fresh)
                daemon.stop()
    assert daemon.uplink.state is UplinkState.READY
    outage = daemon.uplink.outages.all[0]
    assert outage.ended_s is not None
    assert outage.good_s <= outage.began_s < outage.ended_s
    assert daemon.uplink.outages.during(outage.began_s, outage.ended_s)
    _all_is_accounted_for(daemon, sink)
    for window_s in (0.2, 1.0, 5.0, 60.0):
        assert proxy.most_in(window_s) <= RATE * window_s + RATE * BURST_S


async def test_what_lies_before_a_link_that_stands_still_is_no_burst_once_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "PROBE_EVERY_S", 0.05)
    sink, registry = MemorySink(), CollectorRegistry()
    unsure = seen(((100, 100, 140, 140), 0.45, "car"), ((20, 20, 60, 80), 0.4, "person"))
    async with FakeCloud(lambda asked: verdict(asked)).running() as cloud:
        proxy = TimedProxy("127.0.0.1", int(cloud.address.rpartition(":")[2]))
        async with proxy.running():
            # Nobody stops the asking: all that the bucket gives goes into the socket.
            settings = _settings(proxy.target, tmp_path, breaker={"enabled": False}, timeout_s=0.1)
            settings = settings.model_copy(update={"gate": edge_settings(gate=ALWAYS_ASK).gate})
            film = paced_film(PICTURES, 0.01)
            daemon = make_daemon(
                settings, ScriptedDetector(unsure), {"gate": film}, sinks=[sink], registry=registry
            )
            (status,) = daemon.statuses
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: status.verdicts >= 8)
                proxy.stall()
                answered = status.answers
                # About three seconds, in each of which the bucket would fill anew.
                await until(lambda: status.answers >= answered + 300)
                proxy.heal()
                verdicts = status.verdicts
                await until(lambda: status.verdicts >= verdicts + 20)
                daemon.stop()
    for window_s in (0.05, 0.2, 1.0, 5.0, 60.0):
        assert proxy.most_in(window_s) <= RATE * window_s + RATE * BURST_S


async def test_a_connection_that_is_back_ends_the_pause_of_the_breaker(tmp_path: Path) -> None:
    async with FakeCloud(lambda asked: verdict(asked)).running() as cloud:
        proxy = TimedProxy("127.0.0.1", int(cloud.address.rpartition(":")[2]))
        async with proxy.running():
            patient = {"min_calls": 4, "open_s": 3600.0, "open_max_s": 3600.0}
            settings = _settings(proxy.target, tmp_path, breaker=patient)
            daemon = _daemon(settings, MemorySink(), CollectorRegistry())
            (status,) = daemon.statuses
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run)
                await until(lambda: status.verdicts >= 8)
                proxy.stall()
                await until(lambda: daemon.uplink.breaker.opened == 1)
                proxy.refuse()
                await proxy.cut()
                await until(lambda: daemon.uplink.state is not UplinkState.READY)
                proxy.heal()
                # An hour early.
                await until(lambda: daemon.uplink.accepting)
                daemon.stop()


async def test_what_waited_when_the_process_ended_is_sent_by_the_next(tmp_path: Path) -> None:
    sink = MemorySink()
    async with FakeCloud().running() as cloud:
        port = int(cloud.address.rpartition(":")[2])
    first = _daemon(_settings(cloud.address, tmp_path), sink, CollectorRegistry())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        await until(lambda: first.statuses[0].spooled >= 5)
        first.stop()
    assert first.late is not None
    left = len(first.late.spool)
    assert left == first.statuses[0].spooled
    _all_is_accounted_for(first, sink)
    async with cloud.running(port):
        settings = _settings(cloud.address, tmp_path).model_copy(
            update={"trust": edge_settings(trust={"audit_rate": 0.0}).trust}
        )
        second = _daemon(settings, MemorySink(), CollectorRegistry())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second.run)
            await until(lambda: second.statuses[0].late_verdicts >= left)
            second.stop()
    assert second.late is not None
    assert len(second.late.spool) == 0
    assert sum(asked.purpose is Purpose.AUDIT for asked in cloud.asked) == left


async def test_a_budget_of_nothing_answers_every_frame_and_sends_no_byte(tmp_path: Path) -> None:
    sink = MemorySink()
    async with FakeCloud().running() as cloud:
        settings = edge_settings(
            cloud.address,
            trust={"audit_rate": 0.1},
            budget={"kb_per_s": 0},
            uplink={"spool": {"path": str(tmp_path)}},
        )
        daemon = make_daemon(settings, ScriptedDetector(seen()), {"gate": Film(100)}, sinks=[sink])
        await daemon.run()
    (status,) = daemon.statuses
    assert cloud.asked == []
    assert status.escalations == 0
    _all_is_accounted_for(daemon, sink)


async def test_what_is_under_way_at_the_end_waits_on_disk(tmp_path: Path) -> None:
    sink = MemorySink()
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        settings = _settings(cloud.address, tmp_path, timeout_s=30.0)
        run = settings.run.model_copy(update={"drain_timeout_s": 0.05})
        daemon = _daemon(settings.model_copy(update={"run": run}), sink, CollectorRegistry())
        (status,) = daemon.statuses
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: status.audits >= 3)
            daemon.stop()
    assert daemon.late is not None
    assert len(daemon.late.spool) == status.spooled >= 3
    assert status.lost == status.escalations - status.audits
    _all_is_accounted_for(daemon, sink)
