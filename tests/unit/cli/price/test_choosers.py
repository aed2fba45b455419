"""A gate at random with our budget, and one that knows where the edge is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from secondlook.cli.price.choosers import Budget, OracleChooser, RandomChooser
from secondlook.cli.price.system import Shot
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.measure import Metric
from secondlook.shared.values import Decision, Detections, Frame, Observation, Purpose, Region

NAMES = ("car", "person")
SETTINGS = PipelineSettings()
METRIC = Metric(("car", "person"))
WHOLE = Region(0, 0, 640, 480)
SMALL = Region(0, 0, 64, 64)


def shot(index: int, reference: Detections | None = None) -> Shot:
    frame = Frame.of(
        np.zeros((480, 640, 3), np.uint8),
        camera="clip",
        sequence=index,
        captured_s=index / 10,
        captured_at=1.7e9 + index / 10,
    )
    return Shot(index, frame, index / 10, Detections.empty(NAMES), 0.0, reference)


def boxes(*corners: tuple[float, float, str]) -> Detections:
    """Boxes of 80x80 pixels."""
    return Detections.of(
        [[x, y, x + 80, y + 80] for x, y, _ in corners],
        [0.9] * len(corners),
        [NAMES.index(name) for _, _, name in corners],
        NAMES,
    )


def said(one: Shot, detections: Detections) -> Observation:
    return Observation(one.frame.ref, detections)


def covers(decision: Decision, x: float, y: float) -> bool:
    return any(
        left <= x < right and top <= y < bottom
        for left, top, right, bottom in (region.xyxy for region in decision.regions)
    )


def test_the_oracle_begins_with_a_background() -> None:
    oracle = OracleChooser(SETTINGS, METRIC)
    one = shot(0, boxes((0, 0, "car")))
    assert oracle.choose(one, said(one, boxes()), []).regions[0].xyxy == WHOLE.xyxy


def begun() -> OracleChooser:
    oracle = OracleChooser(SETTINGS, METRIC)
    one = shot(0, boxes())
    oracle.choose(one, said(one, boxes()), [])
    return oracle


def test_the_oracle_asks_where_the_edge_is_wrong_and_nowhere_else() -> None:
    oracle = begun()
    right, wrong, missed = (10, 10, "car"), (300, 20, "car"), (500, 300, "person")
    one = shot(1, boxes(right, missed))
    decision = oracle.choose(one, said(one, boxes(right, wrong)), [])
    assert covers(decision, 340, 60)
    assert covers(decision, 540, 340)
    assert not covers(decision, 50, 50)


def test_the_oracle_asks_about_a_wrong_class() -> None:
    one = shot(1, boxes((300, 200, "person")))
    decision = begun().choose(one, said(one, boxes((300, 200, "car"))), [])
    assert covers(decision, 340, 240)


def test_the_oracle_is_silent_where_all_is_right_or_asked_already() -> None:
    oracle = begun()
    both = boxes((10, 10, "car"))
    one = shot(1, both)
    assert not oracle.choose(one, said(one, both), []).escalate
    assert oracle.choose(one, said(one, boxes()), []).escalate
    assert not oracle.choose(one, said(one, boxes()), [Region(0, 0, 128, 128)]).escalate


def test_the_oracle_counts_only_what_the_metric_counts() -> None:
    oracle = OracleChooser(SETTINGS, Metric(("person",)))
    one = shot(0, boxes())
    oracle.choose(one, said(one, boxes()), [])
    one = shot(1, boxes((300, 200, "car")))
    assert not oracle.choose(one, said(one, boxes()), []).escalate


def test_a_budget_tells_regions_from_frames_and_content_from_the_coin() -> None:
    budget = Budget()
    ref = shot(0).frame.ref
    budget.note(ref, Decision((WHOLE,)))
    assert budget.whole is not None
    assert not budget.asks
    budget.note(ref, Decision((SMALL, SMALL)))
    budget.note(ref, None)
    budget.note(ref, Decision())
    # After the first one, a whole frame that is no audit is chosen by its content.
    budget.note(ref, Decision((WHOLE,)))
    audit = Decision((WHOLE,), Purpose.AUDIT)
    budget.note(shot(7).frame.ref, audit)
    assert list(budget.asks) == [2, 0]
    assert budget.whole == (7, audit)


def played(seed: int, frames: int = 400) -> tuple[int, int, list[int]]:
    """What ours and the random gate asked: regions of ours, of the other, and its frames."""
    draw = np.random.default_rng(9)
    budget, ours, theirs, when = Budget(), 0, 0, []
    random = RandomChooser(SETTINGS, budget, seed)
    there = boxes((10, 10, "car"), (250, 10, "car"), (500, 10, "car"), (250, 300, "person"))
    for index in range(frames):
        one = shot(index)
        if index == 0:
            budget.note(one.frame.ref, Decision((WHOLE,)))
        elif draw.random() < 0.3:
            count = int(draw.integers(1, 4))
            budget.note(one.frame.ref, Decision((SMALL,) * count))
            ours += count
        decision = random.choose(one, said(one, there), [])
        if index == 0:
            assert decision.regions[0].xyxy == WHOLE.xyxy
        elif decision.escalate:
            theirs += len(decision.regions)
            when.append(index)
    return ours, theirs, when


def test_the_random_gate_asks_as_much_as_ours_and_never_more() -> None:
    ours, theirs, _ = played(0)
    assert 0.9 * ours <= theirs <= ours


def test_the_random_gate_is_seeded() -> None:
    assert played(1) == played(1)
    assert played(1) != played(2)


@pytest.mark.parametrize("waiting", [[], [WHOLE]])
def test_the_random_gate_keeps_what_it_cannot_spend(waiting: list[Region]) -> None:
    budget = Budget()
    random = RandomChooser(SETTINGS, budget, 0)
    for _ in range(8):
        budget.note(shot(0).frame.ref, Decision((SMALL,)))
    budget.whole = None
    budget.asks.extend([1] * 8)
    seen = boxes() if not waiting else boxes((10, 10, "car"))
    for index in range(1, 6):
        one = shot(index)
        assert not random.choose(one, said(one, seen), waiting).escalate
    assert len(budget.asks) == 16
