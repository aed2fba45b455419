"""A memory that fails stops no answer, and says so; one that heals goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import FakeDetector, fake_cloud
from support.edge import (
    FakeCloud,
    Film,
    MemorySink,
    ScriptedDetector,
    edge_settings,
    make_daemon,
    seen,
    textured,
    verdict,
)
from support.gate import ALWAYS_ASK
from support.waiting import until

from secondlook.edge.daemon import Daemon
from secondlook.edge.memory.notes import Note
from secondlook.edge.settings import EdgeSettings
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import Look, ModelPin, TrackVerdict
from secondlook.shared.memory.remote import RemoteStore
from secondlook.shared.values import Escalation, Verdict

pytestmark = pytest.mark.anyio

CAR = ((100.0, 100.0, 140.0, 140.0), 0.45, "car")
ROOM = textured()


def _judge(asked: Escalation) -> Verdict:
    return verdict(asked, (CAR[0], 0.9, "bottle"))


def _settings(address: str, path: Path, **memory: Any) -> EdgeSettings:
    given = {
        "enabled": True,
        "path": path,
        "device": "here",
        "settle_s": 0.0,
        "write_every_s": 0.01,
        "sync": {"enabled": False},
        **memory,
    }
    # There is always something to ask and to remember.
    return edge_settings(address, gate=ALWAYS_ASK, memory=given)


def _daemon(settings: EdgeSettings, sink: MemorySink, length: int | None, **more: Any) -> Daemon:
    film = Film(length, image=lambda _: ROOM)
    return make_daemon(settings, ScriptedDetector(seen(CAR)), {"gate": film}, sinks=[sink], **more)


async def test_a_full_disk_stops_no_answer_and_what_waited_is_written_later(
    tmp_path: Path,
) -> None:
    sink, registry = MemorySink(), CollectorRegistry()
    async with FakeCloud(_judge).running() as cloud:
        settings = _settings(cloud.address, tmp_path / "m.db", prior_every_s=0.05)
        daemon = _daemon(settings, sink, None, registry=registry)
        totals = daemon.memory.totals
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: totals.written >= 1)
            store = daemon.memory._store
            assert store is not None
            await store.transact(_limited)
            daemon.memory.note("gate", [Note(TrackVerdict, f"big{n}", _big()) for n in range(20)])
            await until(lambda: totals.failures >= 1)
            failed, answered = totals.failures, len(sink.answers())
            await until(lambda: len(sink.answers()) >= answered + 200)
            await until(lambda: totals.failures > failed)
            await store.transact(_unlimited)
            await until(lambda: totals.waiting == 0)
            assert len((await store.changes("default/gate/verdict/big")).records) == 20
            daemon.stop()
    assert daemon.statuses[0].restarts == 0
    assert registry.get_sample_value("secondlook_edge_memory_store_failures_total") == (
        totals.failures
    )


def _big() -> TrackVerdict:
    """A record that needs more pages than the file has."""
    return TrackVerdict(
        at_s=1.0,
        until_s=2.0,
        frame_width=320,
        frame_height=240,
        box=(0.0, 0.0, 320.0, 240.0),
        look=Look.cut(0, 0, 120, 120, bytes(14_400), (160, 120)),
        model="heavy",
        model_version="1",
        class_name="car",
        score=0.9,
        refuted=False,
    )


def _limited(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA max_page_count = 1")


def _unlimited(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA max_page_count = 1000000")


async def test_a_file_that_is_no_memory_is_told_and_answers_come_all_the_same(
    tmp_path: Path,
) -> None:
    damaged, folder = tmp_path / "damaged.db", tmp_path / "file"
    damaged.write_bytes(b"this is no database, and it is longer than a header " * 100)
    folder.write_text("in the way of a folder")
    for path in (damaged, folder / "m.db", Path("/proc/none/m.db")):
        sink, registry = MemorySink(), CollectorRegistry()
        async with FakeCloud(_judge).running() as cloud:
            daemon = _daemon(_settings(cloud.address, path), sink, 10, registry=registry)
            await daemon.run()
        assert len(sink.answers()) == 10
        assert daemon.memory.totals.state == "failed"
        assert registry.get_sample_value("secondlook_edge_memory_up") == 0
    assert damaged.read_bytes().startswith(b"this is no database"), "it is left as it was"


async def test_two_daemons_do_not_share_one_memory(tmp_path: Path) -> None:
    sinks = MemorySink(), MemorySink()
    async with FakeCloud(_judge).running() as cloud:
        settings = _settings(cloud.address, tmp_path / "m.db")
        first, second = (_daemon(settings, sink, None) for sink in sinks)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run)
            await until(lambda: first.memory.totals.state == "on")
            tasks.start_soon(second.run)
            await until(lambda: len(sinks[1].answers()) > 5)
            assert second.memory.totals.state == "failed"
            assert first.memory.totals.state == "on"
            first.stop()
            second.stop()
    third = _daemon(settings, MemorySink(), 3)
    await third.run()
    assert third.memory.totals.state == "on", "the lock ends with its holder"


async def test_records_that_are_damaged_are_skipped_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    store = await SqliteStore.open(path)
    await store.save("default/gate/verdict/a", {"schema": 1, "box": "here"}, 0, writer="x")
    await store.save("default/gate/scene/320x240", {"schema": 7}, 0, writer="x")
    await store.close()
    sink = MemorySink()
    async with FakeCloud(_judge).running() as cloud:
        daemon = _daemon(_settings(cloud.address, path), sink, 10)
        await daemon.run()
    assert len(sink.answers()) == 10
    assert daemon.memory.totals.skipped == 2
    assert daemon.statuses[0].restarts == 0


async def test_a_camera_that_breaks_down_knows_what_it_knew(tmp_path: Path) -> None:
    """It starts again within the same process: what was not written yet is written first."""
    calls = 0

    def buggy(images: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 60:
            raise RuntimeError("a bug")
        return [seen(CAR)]

    sink = MemorySink()
    film = Film(100, image=lambda _: ROOM)
    async with FakeCloud(_judge).running() as cloud:
        settings = _settings(cloud.address, tmp_path / "m.db", write_every_s=60.0)
        settings = settings.model_copy(update={"gate": edge_settings().gate})
        daemon = make_daemon(settings, ScriptedDetector(buggy), {"gate": film}, sinks=[sink])

        async def in_step(n: int) -> None:
            # The verdict comes before the bug does.
            if n == 40:
                await until(lambda: daemon.statuses[0].verdicts >= 1)

        film.wait_for = in_step
        await daemon.run()
    assert daemon.statuses[0].restarts == 1
    assert film.runs == 2
    assert daemon.memory.totals.recalled >= 1
    assert sum(asked.whole_frame for asked in cloud.asked) == 1


async def test_a_pin_that_the_cloud_sets_changes_the_model_while_the_edge_runs(
    tmp_path: Path,
) -> None:
    light, big = FakeDetector("usual"), FakeDetector("big")
    models = [{"name": name, "path": "unused.onnx"} for name in ("usual", "big")]
    sink = MemorySink()
    async with fake_cloud(light, big, models=models) as (cloud, channel):
        settings = _settings(
            f"127.0.0.1:{cloud.port}",
            tmp_path / "m.db",
            sync={"poll_s": 0.05, "gather_s": 0.05},
        )
        daemon = _daemon(settings, sink, None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: len(light.batches) >= 2)
            assert big.batches == []
            pin = ModelPin(model="big", version="1", at_s=1.0, by="operator")
            remote = RemoteStore(channel)
            await remote.save("default/gate/model/heavy", pin.document(), 0, writer="operator")
            await until(lambda: len(big.batches) >= 2)
            await remote.delete("default/gate/model/heavy", 1, writer="operator")
            usual = len(light.batches)
            await until(lambda: len(light.batches) >= usual + 2)
            daemon.stop()
        assert daemon.memory.totals.synced_at is not None
        # What the edge had learned is in the cloud when it has ended.
        page = await remote.changes("default/gate/verdict/", 0, 100)
        assert {record.writer for record in page.records} == {"here"}
        assert all(TrackVerdict.of(record.data).model for record in page.records)
    assert daemon.memory.totals.unsynced == 0


async def test_a_cloud_without_a_memory_hurts_nothing(tmp_path: Path) -> None:
    sink = MemorySink()
    async with FakeCloud(_judge).running() as cloud:
        settings = _settings(
            cloud.address, tmp_path / "m.db", sync={"backoff_initial_s": 0.05, "gather_s": 0.01}
        )
        daemon = _daemon(settings, sink, None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: daemon.memory.totals.sync_error != "")
            verdicts = daemon.statuses[0].verdicts
            await until(lambda: daemon.statuses[0].verdicts > verdicts + 2)
            await until(lambda: daemon.memory.totals.unsynced >= 1)
            daemon.stop()
    assert daemon.statuses[0].restarts == 0
