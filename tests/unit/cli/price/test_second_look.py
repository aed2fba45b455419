"""A verdict helps only frames later than the moment it would have come."""

from __future__ import annotations

import numpy as np
import pytest
from support.pricing import with_audits

from secondlook.cli.price.second_look import SecondLook
from secondlook.cli.price.system import Shot
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import Unavailable
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values import Detections, Escalation, Frame, Verdict

pytestmark = pytest.mark.anyio

NAMES = ("car", "person")
BOX = [40, 40, 80, 80]
SETTINGS = with_audits(0.0).model_copy(update={"gate": GateSettings(waiting_factor=1000.0)})
"""What is asked is asked once, and waits."""


class SlowCloud:
    """Confirms everything as a person, after a fixed time on the clock."""

    def __init__(self, clock: ManualClock, round_trip_s: float, *, dead: bool = False) -> None:
        self.asked: list[int] = []
        self._clock = clock
        self._round_trip_s = round_trip_s
        self._dead = dead

    async def ask(self, escalation: Escalation) -> Verdict:
        self.asked.append(escalation.sequence)
        self._clock.advance(self._round_trip_s)
        if self._dead:
            raise Unavailable("nobody there")
        return Verdict(
            escalation.request_id,
            escalation.camera,
            escalation.sequence,
            escalation.regions,
            Detections.of([BOX], [0.9], [1], NAMES),
            "heavy",
            "1",
            escalation.purpose,
        )


def shot(index: int, clock: ManualClock, *, score: float = 0.3) -> Shot:
    """A still scene, 10 frames a second; the light model is unsure of one car."""
    image = np.full((96, 128, 3), 80, np.uint8)
    frame = Frame.of(
        image,
        camera="clip",
        sequence=index,
        captured_s=clock.monotonic(),
        captured_at=clock.wall(),
    )
    light = Detections.of([BOX], [score], [0], NAMES)
    return Shot(index, frame, index / 10, light, 0.02)


async def play(
    round_trip_s: float, *, frames: int = 8, dead: bool = False, latency_s: float | None = None
) -> SecondLook:
    clock = ManualClock()
    cloud = SlowCloud(clock, round_trip_s, dead=dead)
    pipeline = CameraPipeline("price", SETTINGS, NAMES, clock)
    system = SecondLook(
        pipeline,
        CountingProxy("127.0.0.1", 1),
        cloud,
        clock.monotonic,
        verdict_latency_s=latency_s,
    )
    for index in range(frames):
        await system.see(shot(index, clock))
    await system.finish()
    return system


def said(system: SecondLook, stage: str) -> list[list[str]]:
    return [getattr(answer, stage).class_names() for answer in system.ledger.answers]


def knows(system: SecondLook, stage: str) -> list[bool]:
    """Of each frame, whether it says what the cloud says."""
    return [names == ["person"] for names in said(system, stage)]


async def test_frames_before_the_verdict_are_answered_without_it_and_revised() -> None:
    system = await play(0.25)
    # Asked about frame 0 at 0.02 s, answered at 0.27 s: frame 3 (0.3 s) is the first to know.
    assert knows(system, "first") == [False] * 3 + [True] * 5
    assert said(system, "final") == [["person"]] * 8
    assert system.ledger.escalations == system.ledger.inferences == 1
    late = [answer.final_s for answer in system.ledger.answers]
    assert late[:4] == pytest.approx([0.27, 0.17, 0.07, 0.02])


async def test_a_fast_cloud_helps_the_next_frame() -> None:
    system = await play(0.05)
    assert knows(system, "first") == [False] + [True] * 7


async def test_what_is_on_its_way_at_the_end_still_counts() -> None:
    system = await play(60.0, frames=3)
    assert knows(system, "first") == [False] * 3
    assert said(system, "final") == [["person"]] * 3
    assert system.ledger.answers[0].final_s == pytest.approx(60.02)


async def test_a_dead_cloud_leaves_the_edges_answers_and_is_counted() -> None:
    system = await play(0.05, dead=True)
    assert said(system, "final") == said(system, "first")
    assert system.ledger.failures == system.ledger.escalations > 1
    assert system.ledger.inferences == 0


async def test_a_latency_that_is_given_makes_the_machine_irrelevant() -> None:
    fast, slow = await play(0.01, latency_s=0.25), await play(5.0, latency_s=0.25)
    assert said(fast, "first") == said(slow, "first")
    assert said(fast, "final") == said(slow, "final")
    # The verdict on frame 0 is there at 0.25 s: frame 3 is the first to know.
    assert [answer.final_s for answer in slow.ledger.answers[:3]] == pytest.approx(
        [0.25, 0.15, 0.05]
    )
