"""Reading back what the edge daemon published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secondlook.cli.demo.playback import Playback
from secondlook.edge.sinks.lines import to_line
from secondlook.edge.sinks.protocol import Event
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Decision, Detections, FrameRef, Observation, Region

NAMES = ("car", "person")


def line(
    sequence: int, name: str | None = "car", *, revision: int = 0, at_s: float = 0.1, **parts: Any
) -> bytes:
    """A line as the daemon itself writes it."""
    found = Detections.empty(NAMES)
    if name:
        found = Detections.of([[1, 2, 30, 40]], [0.75], [NAMES.index(name)], NAMES, [5])
    observation = Observation(
        FrameRef("street", sequence, 100.0, 1.7e9, 640, 384),
        found,
        revision,
        Decision(**parts),
        100.0 + at_s,
        cause="x-1" if revision else None,
    )
    return to_line(Event(observation, sequence / 10))


def test_answers_and_revisions_become_first_and_final() -> None:
    playback = Playback()
    playback.take(line(0, at_s=0.02))
    playback.take(line(2, None, at_s=0.03))
    playback.take(line(0, "person", revision=1, at_s=0.5))
    playback.take(line(0, "car", revision=2, at_s=0.9))
    ledger = playback.ledger([0, 2])
    assert ledger.name == "secondlook"
    first, second = ledger.answers
    assert (first.first.class_names(), first.final.class_names()) == (["car"], ["car"])
    assert (first.first_s, first.final_s) == pytest.approx((0.02, 0.9))
    assert first.first.boxes.tolist() == [[1, 2, 30, 40]]
    assert (len(second.first), second.first_s, second.final_s) == (0, 0.03, 0.03)
    assert playback.revisions == 2


def test_what_was_asked_is_kept() -> None:
    playback = Playback()
    playback.take(line(0, regions=(Region(16, 32, 48, 64),)))
    playback.take(line(1))
    assert playback.regions == {0: [(16, 32, 48, 64)]}


def test_a_frame_without_an_answer_is_told() -> None:
    playback = Playback()
    playback.take(line(0))
    with pytest.raises(InvalidInput, match="2 of 3 frames without an answer, the first is 2"):
        playback.ledger([0, 2, 4])


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b"{}",
        line(7, revision=1),
        json.dumps({**json.loads(line(0)), "latency_s": None}).encode(),
        json.dumps({**json.loads(line(0)), "detections": [{"box": [1, 2]}]}).encode(),
    ],
)
def test_what_is_no_event_is_refused(bad: bytes) -> None:
    with pytest.raises(InvalidInput, match="not an event"):
        Playback().take(bad)
