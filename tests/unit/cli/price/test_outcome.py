"""From ledgers to numbers, by hand."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.outcome import outcome_of
from secondlook.cli.price.table import sentence, tables_of
from secondlook.shared.measure import Counts, Metric, Traffic
from secondlook.shared.values import Detections

NAMES = ("car", "person")
CAR = Detections.of([[0, 0, 50, 50]], [0.9], [0], NAMES)
BOTH = Detections.of([[0, 0, 50, 50], [60, 0, 90, 50]], [0.9, 0.8], [0, 1], NAMES)
NOTHING = Detections.empty(NAMES)


def standard(*, truth: bool = False) -> Standard:
    """Two frames, half a second apart; the reference sees both objects in each."""
    found = Standard([BOTH, BOTH], media_s=[0.0, 0.5], sequences=[0, 1], width=100, height=50)
    if truth:
        found.truths = [BOTH, BOTH]
        found.ignores = [np.array([False, True]), np.array([False, False])]
    return found


def ledger(name: str = "secondlook") -> Ledger:
    """Says the car at once, both later in the first frame, nothing more in the second."""
    first = FrameAnswer.once(CAR, 0.02)
    first.revise(BOTH, 0.4)
    return Ledger(
        name,
        [first, FrameAnswer.once(CAR, 0.04)],
        escalations=1,
        inferences=1,
        traffic=Traffic(up=5000, down=600, setup_up=80, setup_down=20, connections=1),
    )


def test_numbers_of_a_system() -> None:
    outcome = outcome_of(ledger(), standard(), Metric())
    assert outcome.first.agreement == Counts(2, 0, 2)
    assert outcome.final.agreement == Counts(3, 0, 1)
    assert outcome.uplink_kb_per_frame == 2.5
    assert outcome.downlink_kb_per_frame == 0.3
    # Two frames half a second apart stand for one second.
    assert outcome.uplink_kb_per_s == 5.0
    assert outcome.setup_kb == 0.1
    assert (outcome.escalations_per_frame, outcome.cloud_inferences_per_frame) == (0.5, 0.5)
    assert outcome.first.truth is None


def test_latency_is_of_the_first_word_and_of_the_last() -> None:
    data = outcome_of(ledger(), standard(), Metric()).as_json()
    assert (data["first"]["p50_ms"], data["first"]["p95_ms"]) == (30.0, 39.0)
    assert (data["final"]["p50_ms"], data["final"]["p95_ms"]) == (220.0, 382.0)


def test_truth_counts_beside_the_reference_and_leaves_out_what_is_ignored() -> None:
    outcome = outcome_of(ledger(), standard(truth=True), Metric())
    assert outcome.first.truth == Counts(2, 0, 1)
    assert outcome.final.truth == Counts(2, 0, 1)
    assert outcome.as_json()["final"]["truth"]["recall"] == pytest.approx(2 / 3, abs=1e-4)


def test_a_single_frame_has_no_rate() -> None:
    one = Standard([BOTH], media_s=[0.0], sequences=[0])
    done = outcome_of(Ledger("edge_only", [FrameAnswer.once(CAR, 0.1)]), one, Metric())
    assert done.uplink_kb_per_s is None
    assert done.as_json()["uplink_kb_per_s"] is None


@pytest.mark.parametrize("truth", [False, True])
def test_tables_fit_a_terminal_of_eighty_columns(truth: bool) -> None:
    held = standard(truth=truth)
    names = ["edge_only", "cloud_jpeg", "cloud_h264", "secondlook"]
    outcomes = [outcome_of(ledger(name), held, Metric()) for name in names]
    text = StringIO()
    console = Console(file=text, width=80)
    for table in tables_of(outcomes):
        console.print(table)
    shown = text.getvalue()
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("Secondlook") == (3 if truth else 2)
    assert "0.500→0.750" in shown
    assert "30 / 39" in shown


def test_the_sentence_names_gain_and_price() -> None:
    edge = Ledger("edge_only", [FrameAnswer.once(CAR, 0.02), FrameAnswer.once(NOTHING, 0.02)])
    jpeg = ledger("cloud_jpeg")
    jpeg.traffic = Traffic(up=50_000)
    outcomes = [outcome_of(each, standard(), Metric()) for each in (edge, jpeg, ledger())]
    text = sentence(outcomes)
    assert "Secondlook reaches F1 0.857 where the edge alone has 0.400" in text
    assert "10% of the bytes of JPEG frames" in text
    assert sentence(outcomes[:2]) == ""
