"""What a gate is told about a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.edge import NAMES, Seen, frame, seen, verdict
from support.gate import plain_risk, plain_settings
from support.street import ROOM

from secondlook.edge.gate import Choice, FrameEvidence, Terms
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.clock import ManualClock
from secondlook.shared.values import Escalation, Purpose

CAR: Seen = ((100, 100, 140, 140), 0.45, "car")
SURE: Seen = ((20, 20, 80, 90), 0.95, "person")


class Listener:
    """A gate that keeps what it is told, and asks about the boxes or the frame it is told to."""

    def __init__(self) -> None:
        self.told: list[tuple[FrameEvidence, Terms]] = []
        self.ask: tuple[int, ...] = ()
        self.whole = False

    def choose(self, frame: FrameEvidence, terms: Terms) -> Choice:
        self.told.append((frame, terms))
        return Choice(self.ask, ("told to",) * len(self.ask), self.whole, Purpose.UNSURE)


class Ear:
    """A pipeline whose gate is a `Listener`."""

    def __init__(self, **sections: Any) -> None:
        self.gate = Listener()
        self.pipeline = CameraPipeline(
            "gate", plain_settings(**sections), NAMES, ManualClock(), session="s",
            gate=self.gate, risk=plain_risk(),
        )  # fmt: skip
        self.sequence = -1

    def show(
        self, *boxes: Seen, ask: tuple[int, ...] = (), whole: bool = False
    ) -> tuple[FrameEvidence, Escalation | None]:
        self.sequence += 1
        self.gate.ask, self.gate.whole = ask, whole
        shown = frame(self.sequence, ROOM)
        answer = self.pipeline.answer(shown, seen(*boxes), 0.0)
        asked = self.pipeline.escalation(shown, answer)
        return self.gate.told[-1][0], asked


def test_boxes_come_with_their_score_chance_and_loss() -> None:
    told, _ = Ear().show(CAR, SURE)
    assert (told.camera, told.sequence) == ("gate", 0)
    assert told.names == ("person", "car")
    np.testing.assert_allclose(told.boxes, [SURE[0], CAR[0]])
    np.testing.assert_allclose(told.scores, [0.95, 0.45], atol=1e-3)
    np.testing.assert_allclose(told.right, [0.95, 0.45], atol=2e-3)
    np.testing.assert_allclose(told.loss, [0.05, 0.45], atol=2e-3)
    assert np.isnan(told.verdict_age_s).all()
    assert not told.in_flight.any()
    assert told.background_age_s is None
    assert not told.background_in_flight


def test_nothing_seen_is_evidence_too() -> None:
    told, _ = Ear().show()
    assert len(told) == 0
    assert told.boxes.shape == (0, 4)


def test_classes_of_no_interest_have_no_loss() -> None:
    told, _ = Ear(gate={"classes": ("person",)}).show(CAR, (SURE[0], 0.5, "person"))
    losses = dict(zip(told.names, told.loss.tolist(), strict=True))
    assert losses["car"] == 0.0
    assert losses["person"] > 0.4
    told, _ = Ear(gate={"classes": ("zebra",)}).show(CAR)
    assert told.loss[0] > 0.4, "where the light model knows none of them, all count"


def test_what_is_asked_is_in_flight_until_its_verdict() -> None:
    ear = Ear()
    _, asked = ear.show(CAR, SURE, ask=(1,))
    assert asked is not None
    told, _ = ear.show(CAR, SURE)
    assert dict(zip(told.names, told.in_flight.tolist(), strict=True)) == {
        "person": False, "car": True,
    }  # fmt: skip
    ear.pipeline.apply(verdict(asked, (CAR[0], 0.9, "bottle")))
    told, _ = ear.show(CAR, SURE)
    assert not told.in_flight.any()


def test_a_verdict_brings_its_age_its_class_and_less_doubt() -> None:
    ear = Ear()
    before, asked = ear.show(CAR, ask=(0,))
    assert asked is not None
    ear.pipeline.apply(verdict(asked, (CAR[0], 0.9, "bottle")))
    told, _ = ear.show(CAR)
    assert told.names == ("bottle",)
    assert told.verdict_age_s.tolist() == pytest.approx([0.1], abs=1e-3)
    assert told.loss[0] < before.loss[0] / 2
    assert told.track_ids.tolist() == before.track_ids.tolist()


def test_a_refuted_box_keeps_its_name_and_is_hardly_right() -> None:
    ear = Ear()
    _, asked = ear.show(CAR, ask=(0,))
    assert asked is not None
    ear.pipeline.apply(verdict(asked))
    told, _ = ear.show(CAR)
    assert told.names == ("car",)
    assert told.right[0] < 0.05


def test_an_object_that_only_the_cloud_sees_is_a_candidate_without_loss() -> None:
    ear = Ear()
    _, asked = ear.show(whole=True)
    assert asked is not None
    found: Seen = ((200, 100, 240, 160), 0.8, "person")
    ear.pipeline.apply(verdict(asked, found))
    told, _ = ear.show()
    assert told.names == ("person",)
    np.testing.assert_allclose(told.boxes, [found[0]])
    assert (told.scores[0], told.right[0], told.loss[0]) == (0.0, 1.0, 0.0)
    assert told.verdict_age_s[0] == pytest.approx(0.1, abs=1e-3)


def test_the_background_is_told() -> None:
    ear = Ear()
    _, asked = ear.show(whole=True)
    assert asked is not None
    told, _ = ear.show()
    assert told.background_in_flight
    assert told.background_age_s is None
    ear.pipeline.apply(verdict(asked))
    told, _ = ear.show()
    assert not told.background_in_flight
    assert told.background_age_s == pytest.approx(0.2, abs=1e-3)
    _, again = ear.show(whole=True)
    assert again is not None
    ear.pipeline.asked_failed(again)
    told, _ = ear.show()
    assert not told.background_in_flight


def test_asking_has_its_price() -> None:
    ear = Ear()
    ear.show(CAR, ((20, 20, 300, 220), 0.5, "person"))
    told, terms = ear.gate.told[-1]
    bytes_of = terms.bytes_of(told.boxes)
    assert bytes_of.shape == (2,)
    assert (bytes_of > 0).all()
    assert bytes_of[0] > bytes_of[1], "the larger box costs more"
    assert terms.whole_bytes >= bytes_of.max()
