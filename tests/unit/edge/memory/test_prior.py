"""Where which class is published, counted on a grid."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import NAMES, frame, seen

from secondlook.edge.fusion.vocabulary import Vocabulary
from secondlook.edge.memory.prior import COLUMNS, MAX_CLASSES, MIN_FRAMES, ROWS, Prior
from secondlook.shared.memory.kinds import ScenePrior
from secondlook.shared.values import Detections

CAR = (100.0, 100.0, 140.0, 140.0)
BOX = np.array(CAR, np.float32)
CAR_INDEX = NAMES.index("car")


def _prior(known: ScenePrior | None = None) -> Prior:
    return Prior(frame(0).ref, Vocabulary(NAMES), known)


def test_a_class_is_counted_once_a_frame_however_many_boxes_share_its_cell() -> None:
    prior = _prior()
    for number in range(MIN_FRAMES):
        prior.count(seen((CAR, 0.9, "car"), (CAR, 0.8, "car")) if number % 2 else seen())
    assert prior.share(CAR_INDEX, BOX) == pytest.approx(0.5)
    assert prior.share(NAMES.index("person"), BOX) == 0.0
    assert prior.share(CAR_INDEX, BOX + 100) == 0.0


def test_few_frames_say_nothing() -> None:
    prior = _prior()
    for _ in range(MIN_FRAMES - 1):
        prior.count(seen((CAR, 0.9, "car")))
    assert prior.share(CAR_INDEX, BOX) is None


def test_increments_add_up_to_what_was_counted() -> None:
    prior = _prior()
    prior.count(seen((CAR, 0.9, "car")))
    first = prior.news()
    assert prior.news() is None
    prior.count(seen((CAR, 0.9, "car")))
    second = prior.news()
    assert first is not None
    assert second is not None
    assert first == second
    assert (first.frames, sum(first.counts["car"])) == (1, 1)
    assert (first.columns, first.rows) == (COLUMNS, ROWS)


def test_what_was_known_counts_but_is_not_told_again() -> None:
    cells = COLUMNS * ROWS
    known = ScenePrior(columns=COLUMNS, rows=ROWS, frames=1000, counts={"car": (500,) * cells})
    prior = _prior(known)
    assert prior.share(CAR_INDEX, BOX) == pytest.approx(0.5)
    assert prior.news() is None
    other = known.model_copy(update={"columns": 1, "rows": 1, "counts": {"car": (500,)}})
    assert _prior(other).share(CAR_INDEX, BOX) is None, "another grid is another picture"


def test_boxes_outside_the_frame_and_too_many_classes_do_no_harm() -> None:
    names = tuple(f"class {number}" for number in range(MAX_CLASSES + 20))
    prior = Prior(frame(0).ref, Vocabulary(names), None)
    boxes = [(-500.0, -500.0, -400.0, -400.0), (1e6, 1e6, 2e6, 2e6)] * (len(names) // 2)
    many = Detections.of(boxes, [0.9] * len(boxes), list(range(len(boxes))), names)
    for _ in range(MIN_FRAMES):
        prior.count(many)
    news = prior.news()
    assert news is not None
    assert len(news.counts) == MAX_CLASSES
    ScenePrior.of(news.document())
    assert prior.share(len(names) - 1, BOX) == 0.0
