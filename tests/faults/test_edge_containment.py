"""What goes wrong in one part of the edge stays in it."""

from __future__ import annotations

from collections.abc import Sequence

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

from secondlook.edge.daemon import Phase
from secondlook.shared.errors import ModelFailure
from secondlook.shared.values import Detections, Escalation, Verdict

pytestmark = pytest.mark.anyio

CAR = ((100.0, 100.0, 140.0, 140.0), 0.45, "car")


class FailingAt:
    """A detector that fails on some calls."""

    def __init__(self, error: Exception, *calls: int) -> None:
        self._error = error
        self._calls = calls
        self._count = 0

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self._count += 1
        if self._count in self._calls:
            raise self._error
        return [seen(CAR)] * len(images)


async def test_nan_from_the_model_fails_its_frame_and_no_other() -> None:
    sink, registry = MemorySink(), CollectorRegistry()
    detector = ScriptedDetector(FailingAt(ModelFailure("the model gave NaN"), 3, 4))
    daemon = make_daemon(
        edge_settings(), detector, {"gate": Film(8)}, sinks=[sink], registry=registry
    )
    await daemon.run()
    boxes = [len(event.observation.detections) for event in sink.answers()]
    assert boxes == [1, 1, 0, 0, 1, 1, 1, 1]
    assert daemon.statuses[0].failed_frames == 2
    assert daemon.statuses[0].restarts == 0
    failed = registry.get_sample_value("secondlook_edge_failed_frames_total", {"camera": "gate"})
    assert failed == 2


async def test_a_bug_restarts_its_camera_with_new_track_ids_and_hurts_no_other() -> None:
    sink, registry = MemorySink(), CollectorRegistry()
    films = {"a": Film(6), "b": Film(40)}
    calls = {"a": 0}

    def buggy(images: Sequence[np.ndarray]) -> list[Detections]:
        if images[0][0, 0, 0] == 1:
            calls["a"] += 1
            if calls["a"] == 4:
                raise RuntimeError("a bug")
        return [seen(CAR)]

    films["a"].image = lambda _: picture(grey=1)
    daemon = make_daemon(
        edge_settings(cameras=["a", "b"]),
        ScriptedDetector(buggy),
        films,
        sinks=[sink],
        registry=registry,
    )
    await daemon.run()
    assert films["a"].runs == 2
    assert films["b"].runs == 1
    assert [status.phase for status in daemon.statuses] == [Phase.ENDED] * 2
    assert [status.restarts for status in daemon.statuses] == [1, 0]
    assert [e.observation.frame.sequence for e in sink.answers("b")] == list(range(40))
    tracks = [int(e.observation.detections.track_ids[0]) for e in sink.answers("a")]
    assert len(tracks) == 3 + 6
    assert set(tracks[:3]).isdisjoint(tracks[3:])


async def test_a_source_that_breaks_down_is_played_again() -> None:
    film = Film(3, error=RuntimeError("a bug in the source"))

    async def mend(n: int) -> None:
        if film.runs == 3:
            film.error = None

    film.wait_for = mend
    daemon = make_daemon(edge_settings(), ScriptedDetector(), {"gate": film})
    await daemon.run()
    assert film.runs == 3
    assert daemon.statuses[0].restarts == 2
    assert daemon.statuses[0].answers == 9


async def test_frames_that_change_their_size_are_answered() -> None:
    sink = MemorySink()
    sizes = [(320, 240), (320, 240), (640, 480), (640, 480), (320, 240)]
    film = Film(5, image=lambda n: picture(*sizes[n]))
    async with FakeCloud().running() as cloud:
        daemon = make_daemon(
            edge_settings(cloud.address), ScriptedDetector(seen(CAR)), {"gate": film}, sinks=[sink]
        )
        await daemon.run()
    answers = sink.answers()
    assert [(a.observation.frame.width, a.observation.frame.height) for a in answers] == sizes
    whole = [(q.frame_width, q.frame_height) for q in cloud.asked if q.whole_frame]
    assert whole == [(320, 240), (640, 480), (320, 240)]
    assert daemon.statuses[0].restarts == 0


async def test_a_full_disk_stops_no_answer() -> None:
    good, bad = MemorySink(), MemorySink(name="bad", error=OSError(28, "No space left on device"))
    daemon = make_daemon(
        edge_settings(), ScriptedDetector(seen(CAR)), {"gate": Film(10)}, sinks=[bad, good]
    )
    await daemon.run()
    assert len(good.answers()) == 10


async def test_verdicts_that_lie_are_refused_and_the_camera_goes_on() -> None:
    """A cloud that answers for boxes outside the frame, with tiny, huge and strange numbers."""

    def liar(asked: Escalation) -> Verdict:
        return verdict(
            asked,
            ((-5000, -5000, 5000, 5000), 0.9, "car"),
            ((1e9, 1e9, 2e9, 2e9), 0.9, "car"),
            ((50, 50, 50, 50), 1.0, "person"),
        )

    sink = MemorySink()
    async with FakeCloud(liar).running() as cloud:
        daemon = make_daemon(
            edge_settings(cloud.address, trust={"audit_rate": 1.0}),
            ScriptedDetector(seen(CAR)),
            {"gate": Film(10)},
            sinks=[sink],
        )
        await daemon.run()
    assert daemon.statuses[0].restarts == 0
    assert len(sink.answers()) == 10
    for event in sink.events:
        boxes = event.observation.detections.boxes
        assert ((boxes >= 0) & (boxes <= [320, 240, 320, 240])).all()
