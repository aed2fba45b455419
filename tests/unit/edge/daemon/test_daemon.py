"""The daemon over fakes: cameras, answers, verdicts, ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.edge import (
    FakeCloud,
    Film,
    MemorySink,
    ScriptedDetector,
    edge_settings,
    make_daemon,
    picture,
    seen,
    verdict,
)
from support.gates import branches, certain, gate_file
from support.waiting import until

from secondlook.edge.daemon import Limits, Phase
from secondlook.edge.gate.gate_file import save_gate
from secondlook.edge.gate.gate_parts import ModelId
from secondlook.edge.gate.opening import open_gate
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.errors import InvalidConfig, SourceError
from secondlook.shared.values import Detections, Observation, Purpose

pytestmark = pytest.mark.anyio

UNSURE = seen(((100, 100, 140, 140), 0.45, "car"))


async def test_every_frame_of_every_camera_is_answered_and_the_daemon_ends() -> None:
    sink, films = MemorySink(), {"a": Film(12), "b": Film(7)}
    daemon = make_daemon(
        edge_settings(cameras=["a", "b"]), ScriptedDetector(UNSURE), films, sinks=[sink]
    )
    await daemon.run()
    for camera, film in films.items():
        frames = [event.observation.frame.sequence for event in sink.answers(camera)]
        assert frames == list(range(film.length or 0))
    assert [status.phase for status in daemon.statuses] == [Phase.ENDED] * 2
    assert sink.closed
    assert sink.revisions() == []


async def test_verdicts_revise_answers_before_the_daemon_ends() -> None:
    sink, registry = MemorySink(), CollectorRegistry()
    cloud = FakeCloud(lambda asked: verdict(asked, ((100, 100, 140, 140), 0.9, "bottle")))
    async with cloud.running():
        daemon = make_daemon(
            edge_settings(cloud.address),
            ScriptedDetector(UNSURE),
            {"gate": Film(5)},
            sinks=[sink],
            registry=registry,
        )
        await daemon.run()
    final = {
        event.observation.frame.sequence: event.observation
        for event in sorted(sink.events, key=lambda event: event.observation.revision)
    }
    assert [o.detections.class_names() for o in final.values()] == [["bottle"]] * 5
    assert cloud.asked[0].whole_frame
    (status,) = daemon.statuses
    assert status.verdicts == len(cloud.asked) == status.escalations
    assert status.revisions == len(sink.revisions())
    assert status.sent_bytes == sum(len(asked.image) for asked in cloud.asked)
    answers = registry.get_sample_value("secondlook_edge_answers_total", {"camera": "gate"})
    assert answers == 5


async def test_answers_do_not_wait_for_the_cloud() -> None:
    sink = MemorySink()
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        settings = edge_settings(
            cloud.address,
            trust={"audit_rate": 1.0},
            uplink={"overflow": "drop_oldest", "queue": 2, "max_in_flight": 1},
        )
        daemon = make_daemon(settings, ScriptedDetector(), {"gate": Film(40)}, sinks=[sink])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            await until(lambda: len(sink.answers()) == 40)
            assert sink.revisions() == []
            assert daemon.statuses[0].phase is not Phase.ENDED
            cloud.hold.set()
    (status,) = daemon.statuses
    assert status.answers == 40
    assert status.verdicts + status.lost == status.escalations == 40
    assert status.lost > 0
    first, *others = cloud.asked
    assert first.purpose is Purpose.UNSURE, "the cloud's background goes whatever the coin says"
    assert {asked.purpose for asked in others} == {Purpose.AUDIT}


async def test_a_camera_that_blocks_loses_no_question() -> None:
    async with FakeCloud().running() as cloud:
        settings = edge_settings(
            cloud.address,
            trust={"audit_rate": 1.0},
            uplink={"queue": 1, "max_in_flight": 1},
        )
        daemon = make_daemon(settings, ScriptedDetector(), {"gate": Film(25)})
        await daemon.run()
    assert daemon.statuses[0].verdicts == 25
    assert daemon.statuses[0].lost == 0


async def test_it_stops_after_so_many_frames() -> None:
    sink = MemorySink()
    films = {"a": Film(None), "b": Film(None)}
    daemon = make_daemon(edge_settings(cameras=["a", "b"]), ScriptedDetector(), films, sinks=[sink])
    await daemon.run(Limits(max_frames=9))
    assert [status.answers for status in daemon.statuses] == [9, 9]


async def test_it_stops_when_told_and_keeps_what_it_said() -> None:
    sink = MemorySink()
    daemon = make_daemon(edge_settings(), ScriptedDetector(), {"gate": Film(None)}, sinks=[sink])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(daemon.run)
        await until(lambda: len(sink.events) >= 5)
        daemon.stop()
    assert daemon.statuses[0].phase is Phase.ENDED
    assert len(sink.answers()) == daemon.statuses[0].answers
    assert sink.closed


@pytest.mark.parametrize("moment", ["seen", "answered"])
async def test_a_frame_that_was_taken_is_answered_though_the_camera_is_stopped(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, film, loop = MemorySink(), Film(None), asyncio.get_running_loop()

    def stop() -> None:
        """Called in a thread: returns once the loop has long dealt with the stop."""
        done = threading.Event()

        def turn(left: int = 50) -> None:
            if left:
                loop.call_soon(turn, left - 1)
            else:
                done.set()

        loop.call_soon_threadsafe(daemon.stop)
        loop.call_soon_threadsafe(turn)
        assert done.wait(10)

    def detect(images: Sequence[np.ndarray]) -> list[Detections]:
        if moment == "seen" and len(film.given) == 4:
            stop()
        return [UNSURE] * len(images)

    real = CameraPipeline.answer

    def answer(self: CameraPipeline, *given: Any, **named: Any) -> Observation:
        said = real(self, *given, **named)
        if moment == "answered" and len(film.given) == 4:
            stop()
        return said

    monkeypatch.setattr(CameraPipeline, "answer", answer)
    daemon = make_daemon(edge_settings(), ScriptedDetector(detect), {"gate": film}, sinks=[sink])
    await daemon.run()
    frames = [event.observation.frame.sequence for event in sink.answers()]
    assert frames == film.given == [0, 1, 2, 3]


async def test_it_stops_when_the_time_is_up() -> None:
    daemon = make_daemon(edge_settings(), ScriptedDetector(), {"gate": Film(None)})
    await daemon.run(Limits(seconds=0.05))
    assert daemon.statuses[0].phase is Phase.ENDED


async def test_draining_ends_though_the_cloud_never_answers() -> None:
    async with FakeCloud().running() as cloud:
        cloud.hold = anyio.Event()
        settings = edge_settings(cloud.address)
        settings = settings.model_copy(
            update={"run": settings.run.model_copy(update={"drain_timeout_s": 0.05})}
        )
        daemon = make_daemon(settings, ScriptedDetector(), {"gate": Film(3)})
        await daemon.run()
    assert daemon.statuses[0].answers == 3
    assert daemon.statuses[0].verdicts == 0


async def test_a_source_that_gives_up_is_named_after_the_others_have_ended() -> None:
    sink = MemorySink()
    gone = SourceError("rtsp://gate: no route", remedy="check the cable")
    films = {"a": Film(2, error=gone), "b": Film(30)}
    daemon = make_daemon(edge_settings(cameras=["a", "b"]), ScriptedDetector(), films, sinks=[sink])
    with pytest.raises(SourceError, match="no route"):
        await daemon.run()
    assert [status.phase for status in daemon.statuses] == [Phase.FAILED, Phase.ENDED]
    assert daemon.statuses[0].problem == "rtsp://gate: no route"
    assert len(sink.answers("a")) == 2
    assert len(sink.answers("b")) == 30


async def test_a_still_camera_needs_the_detector_now_and_then_only() -> None:
    detector = ScriptedDetector(UNSURE)
    settings = edge_settings(motion={"enabled": True, "max_skip": 4})
    sink = MemorySink()
    film = Film(11, image=lambda _: picture())
    daemon = make_daemon(settings, detector, {"gate": film}, sinks=[sink])
    await daemon.run()
    assert len(detector.calls) == 3
    assert daemon.statuses[0].still == 8
    assert all(len(event.observation.detections) == 1 for event in sink.answers())


@pytest.fixture
def silent_gate(tmp_path: Path) -> Path:
    """A gate that takes every box for nothing."""
    path = tmp_path / "gate.json"
    light = ModelId(name="light", version="1")
    save_gate(gate_file(light=light, risk=branches(certain(-8.0))), path)
    return path


async def test_the_gate_of_the_file_runs(silent_gate: Path) -> None:
    sink = MemorySink()
    settings = edge_settings(gate={"file": str(silent_gate)})
    gate = await anyio.to_thread.run_sync(open_gate, settings.pipeline)
    films = {"gate": Film(5)}
    daemon = make_daemon(settings, ScriptedDetector(UNSURE), films, sinks=[sink], gate=gate)
    await daemon.run()
    assert [len(event.observation.detections) for event in sink.answers()] == [0] * 5


def test_a_gate_of_another_light_model_stops_the_daemon_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    save_gate(gate_file(), path)
    with pytest.raises(InvalidConfig, match="was trained for the light model"):
        make_daemon(edge_settings(gate={"file": str(path)}), ScriptedDetector(), {})
