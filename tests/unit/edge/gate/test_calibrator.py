"""A pipeline's audits teach its calibration, and its memory keeps what they taught."""

from __future__ import annotations

import numpy as np
from support.edge import NAMES, frame, seen, textured, verdict

from secondlook.edge.gate.calibrator import right_ones
from secondlook.edge.memory.notes import Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.clock import ManualClock
from secondlook.shared.memory.kinds import ScoreCalibration
from secondlook.shared.values import Detections

ROOM = textured()


def pipeline(known: Recollection | None, rate: float = 1.0, learn: bool = True) -> CameraPipeline:
    settings = PipelineSettings.model_validate(
        {"trust": {"audit_rate": rate}, "gate": {"learn": learn}}
    )
    return CameraPipeline("gate", settings, NAMES, ManualClock(), session="s", known=known)


def play(camera: CameraPipeline, frames: int, begin: int = 0) -> None:
    """A faint car in another place each time, which the heavy model always sees."""
    for number in range(begin, begin + frames):
        x = 40 * (number % 6)
        box = (x, 40 * (number // 6 % 5), x + 30, 40 * (number // 6 % 5) + 30)
        shown = frame(number, ROOM)
        answer = camera.answer(shown, seen((box, 0.3, "car")), 0.0, media_s=3.0 * number)
        asked = camera.escalation(shown, answer)
        if asked is not None:
            camera.apply(verdict(asked, (box, 0.9, "car")))


def learned(camera: CameraPipeline) -> list[ScoreCalibration]:
    notes = camera.take_notes(last=True)
    return [note.value for note in notes if isinstance(note.value, ScoreCalibration)]


def test_audits_teach_and_are_remembered() -> None:
    first = pipeline(Recollection())
    play(first, 60)
    (record,) = learned(first)
    assert learned(first) == []
    assert record.model == "heavy 1"
    assert sum(map(sum, record.seen.values())) > 50
    # The rule thinks little of a faint box that was never seen before; here it is always right.
    assert record.seen == record.right
    second = pipeline(Recollection(calibrations={"k": record}))
    play(second, 3)
    shown = second.answer(frame(100, ROOM), seen(((200, 200, 230, 230), 0.3, "car")), media_s=999.0)
    plain = pipeline(Recollection())
    play(plain, 3)
    other = plain.answer(frame(100, ROOM), seen(((200, 200, 230, 230), 0.3, "car")), media_s=999.0)
    assert len(shown.detections) >= len(other.detections)
    assert learned(second)[0].seen != record.seen, "only what is new is written down"


def test_nothing_is_learned_where_nothing_may_be() -> None:
    for camera in (pipeline(Recollection(), learn=False), pipeline(Recollection(), rate=0.0)):
        play(camera, 20)
        assert learned(camera) == []
    forgetful = pipeline(None)
    play(forgetful, 20)
    assert forgetful.take_notes(last=True) == []


def test_counts_are_written_down_seldom() -> None:
    camera, times = pipeline(Recollection()), []
    for number in range(220):
        play(camera, 1, number)
        notes = camera.take_notes()
        times += [number for note in notes if note.kind is ScoreCalibration]
    # Each 300 s: one audit each 3 s is not one record each 3 s on the wire.
    assert 1 <= len(times) <= 3


def test_each_box_of_the_heavy_model_is_one_of_ours() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    wanted = Detections.of([[0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.9], [1, 0], NAMES)
    car, person = NAMES[1], NAMES[0]
    right = np.array([0.4, 0.9, 0.5])
    assert right_ones(boxes, [car] * 3, right, wanted).tolist() == [False, True, False]
    assert right_ones(boxes, [car, car, person], right, wanted).tolist() == [False, True, True]
    assert (
        right_ones(boxes, [car] * 3, right, wanted.select(np.zeros(2, bool))).tolist()
        == [False] * 3
    )
