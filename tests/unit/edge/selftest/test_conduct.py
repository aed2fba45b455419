"""The self-test in a real pipeline: what audits tell of it, what is tried out, what it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from support.edge import NAMES, Seen, seen, textured
from support.sites import HEIGHT, WIDTH, restless

from secondlook.edge.carrier import CanvasEncoder
from secondlook.edge.control.allowance import Allowance
from secondlook.edge.memory.notes import Note, Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.selftest import Mode
from secondlook.edge.selftest.agreement import agreement, put_right
from secondlook.edge.selftest.probes import Probes, wire_bytes
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.edge.selftest.traffic import Traffic
from secondlook.edge.selftest.twice import Agreements, Twice
from secondlook.shared.clock import ManualClock
from secondlook.shared.memory.kinds import SiteMode
from secondlook.shared.sim import CLASS_NAMES, StreetCamera, StreetConfig
from secondlook.shared.values import Detections, Frame, Purpose, Verdict

ROOM = textured(WIDTH, HEIGHT)
CAR: Seen = ((50, 30, 80, 50), 0.9, "car")
QUICK = {
    "min_audits": 30,
    "drift_audits": 1000,
    "probe_every_s": 20.0,
    "probe_frames": 3,
    "probe_asks": 2,
    "probe_share": 10.0,
}
View = Callable[[int], tuple[np.ndarray, Detections, Detections]]
"""Of a frame: its picture, what the light model sees, what the heavy one sees."""


class Camera:
    """A pipeline with a canvas, and a cloud that answers at once."""

    def __init__(
        self,
        view: View,
        names: tuple[str, ...] = NAMES,
        *,
        known: Recollection | None = None,
        selftest: dict[str, Any] | None = None,
        in_canvas: Callable[[Detections], Detections] = lambda seen: seen,
        **sections: dict[str, Any],
    ) -> None:
        settings = PipelineSettings.model_validate(
            {
                "trust": {"audit_rate": 0.5},
                "selftest": {**QUICK, **(selftest or {})},
                "gate": {"classes": ()},
                "canvas": {"effort": "quick"},
                **sections,
            }
        )
        self.pipeline = CameraPipeline(
            "gate",
            settings,
            names,
            ManualClock(),
            session="s",
            carrier=CanvasEncoder(settings.canvas),
            known=known,
        )
        self.view = view
        self.in_canvas = in_canvas
        self.stood: dict[int, Detections] = {}
        self.sent_bytes = 0.0
        self.asked: list[tuple[Purpose, bool, bool]] = []
        self.notes: list[Note] = []

    def live(self, first: int, last: int, allowance: Allowance | None = None) -> Mode:
        """Frames from ``first`` to before ``last``, one a second; the way at the end."""
        for n in range(first, last):
            image, light, heavy = self.view(n)
            frame = Frame.of(
                image,
                camera="gate",
                sequence=n,
                captured_s=float(n),
                captured_at=1_700_000_000.0 + n,
            )
            answer = self.pipeline.answer(frame, light, float(n), allowance=allowance)
            self.stood[n] = answer.detections
            asked = [self.pipeline.escalation(frame, answer), self.pipeline.rehearse(frame)]
            for question in asked:
                if question is None:
                    continue
                canvas = question.canvas is not None
                self.asked.append((question.purpose, question.whole_frame, canvas))
                if question.purpose is not Purpose.AUDIT:
                    self.sent_bytes += wire_bytes(question)
                places = np.array([region.xyxy for region in question.regions], np.float32)
                sees = self.in_canvas(heavy) if canvas else heavy
                verdict = Verdict(
                    question.request_id,
                    question.camera,
                    question.sequence,
                    question.regions,
                    put_right(Detections.empty(heavy.names), sees, places),
                    "heavy",
                    "1",
                    question.purpose,
                )
                for revised in self.pipeline.apply(verdict):
                    self.stood[revised.frame.sequence] = revised.detections
            self.notes += self.pipeline.take_notes()
        assert self.pipeline.way is not None
        return self.pipeline.way.mode

    def worth(self, first: int, last: int, price: float) -> float:
        """What stood in frames from ``first`` to before ``last``, less the price of its bytes."""
        self.sent_bytes = 0.0
        self.live(first, last)
        agreed = [agreement(self.stood[n], self.view(n)[2], None) for n in range(first, last)]
        return float(np.mean(agreed)) - price * self.sent_bytes / 1000 / (last - first)

    def ordinary(self) -> list[tuple[Purpose, bool, bool]]:
        """Questions that are no audits, since the last call."""
        asked, self.asked = self.asked, []
        return [one for one in asked if one[0] is not Purpose.AUDIT]


def _steady(light: Detections, heavy: Detections) -> View:
    return lambda n: (ROOM, light, heavy)


def _unsure(n: int) -> tuple[np.ndarray, Detections, Detections]:
    """The light model is right each time, and never sure."""
    dice = np.random.default_rng(n)
    x, y = float(dice.integers(0, WIDTH - 40)), float(dice.integers(0, HEIGHT - 30))
    box = (x, y, x + 32, y + 24)
    return ROOM, seen((box, 0.6, "car")), seen((box, 0.9, "car"))


DEAR = {"price": 0.5, "tolerance": 0.1}
"""Bytes are dear, and little has to be proved."""


def test_where_the_edge_agrees_nothing_but_audits_is_asked_in_the_end() -> None:
    camera = Camera(_unsure, selftest=DEAR)
    camera.live(0, 20)
    assert camera.ordinary()
    assert camera.live(20, 250) is Mode.EDGE
    camera.ordinary()
    camera.live(250, 300)
    assert camera.ordinary() == []
    assert camera.pipeline.way is not None
    assert "beside the edge alone" in camera.pipeline.way.reasons[0]
    assert camera.pipeline.take_ways()[-1].after is Mode.EDGE


def _noisy(really: str) -> View:
    """Leaves move everywhere, and a few things stand that the light model takes for cars."""
    places = [(10, 10, 40, 34), (60, 50, 92, 74), (110, 20, 150, 60)]

    def view(n: int) -> tuple[np.ndarray, Detections, Detections]:
        leaves = np.random.default_rng(n).integers(0, 40, (HEIGHT, WIDTH, 1), np.uint8)
        return (
            ROOM // 2 + leaves,
            seen(*((place, 0.45, "car") for place in places)),
            seen(*((place, 0.9, really) for place in places)),
        )

    return view


def test_where_the_gate_sees_nothing_whole_frames_are_sent() -> None:
    camera = Camera(restless, misses={"blob_loss": 0}, selftest={"price": 1e-6})
    assert camera.live(0, 200) is Mode.FULL
    camera.ordinary()
    camera.live(200, 240)
    asked = camera.ordinary()
    assert len(asked) >= 10
    assert {whole for _, whole, _ in asked} == {True}


def test_a_full_stream_that_agrees_badly_is_not_chosen() -> None:
    """How well whole frames agree is measured: here the heavy model sees nothing in a video."""
    camera = Camera(
        restless,
        misses={"blob_loss": 0},
        selftest={"price": 1e-6},
        in_canvas=lambda seen: Detections.empty(seen.names),
    )
    assert camera.live(0, 200) is not Mode.FULL
    assert camera.pipeline.way is not None
    record = camera.pipeline.way.snapshot(1.8e9)
    assert record.full.count >= 10
    assert record.full.total == 0.0


def test_an_audit_goes_twice_only_where_that_matters_and_is_paid_for() -> None:
    for view, settings in (
        (restless, {"price": 1e-6, "probe_share": 0.0}),
        (_noisy("car"), {"price": 1.0}),
    ):
        camera = Camera(view, misses={"blob_loss": 0}, selftest=settings)
        camera.live(0, 70)
        assert camera.pipeline.way is not None
        assert camera.pipeline.way.snapshot(1.8e9).full.count == 0


def test_a_second_look_comes_in_either_order_or_not_at_all() -> None:
    car, none = seen(CAR), seen()
    everywhere = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    ref = Frame.of(ROOM, camera="gate", sequence=7, captured_s=0.0, captured_at=1.7e9).ref
    twice = Twice(1.0, None)
    for by_canvas, audit_first in product((True, False), repeat=2):
        twice.asked("again", ref, 100.0, by_canvas=by_canvas)
        if audit_first:
            assert twice.audited(7, none, none, everywhere, car) is None
            found = twice.again("again", none)
        else:
            assert twice.again("again", none) is None
            found = twice.audited(7, none, none, everywhere, car)
        # The still is the standard: the audit itself where the second look was a video.
        right = Agreements(1.0, 0.0, 0.0) if by_canvas else Agreements(0.0, 1.0, 0.0)
        assert found == right
        assert twice.frame_of("again") is None
    twice.asked("again", ref, 100.0, by_canvas=True)
    twice.gone("again")
    assert twice.again("again", car) is None
    assert twice.audited(7, none, none, everywhere, car) is None


def test_second_looks_are_saved_up_for() -> None:
    ref = Frame.of(ROOM, camera="gate", sequence=7, captured_s=0.0, captured_at=1.7e9).ref
    twice = Twice(0.1, None)
    assert not twice.affords(1000)
    twice.earned(1200)
    assert twice.affords(1000)
    twice.asked("again", ref, 500.0, by_canvas=True)
    twice.earned(8000)
    assert not twice.affords(1000)
    twice.earned(1e9)
    assert twice.affords(1000)
    twice.paid(500.0)
    assert twice.affords(1000)
    twice.paid(500.0)
    assert not twice.affords(1000)


def _pinned(mode: str) -> Recollection:
    known = {"schema": 2, "at_s": 1.7e9, "since_s": 1.7e9, "mode": mode, "settled": True}
    return Recollection(selftest=SiteMode.of(known))


PROMISED: dict[str, tuple[View, dict[str, Any], Mode]] = {
    "edge alone": (_unsure, {"selftest": DEAR}, Mode.EDGE),
    "canvas": (_noisy("person"), {"selftest": {"price": 0.05}}, Mode.CANVAS),
    "full stream": (
        restless,
        {"selftest": {"price": 1e-6}, "misses": {"blob_loss": 0}},
        Mode.FULL,
    ),
}
"""What is best at a site -> what is seen there, settings, the way that is to be found."""


@pytest.mark.parametrize("best", PROMISED)
def test_a_site_gets_no_less_than_from_the_simplest_choice(best: str) -> None:
    """The promise: what really stood and was really sent, against each of the simple choices."""
    view, sections, wanted = PROMISED[best]
    chosen = Camera(view, **sections)
    assert chosen.live(0, 200) is wanted, chosen.pipeline.way and chosen.pipeline.way.reasons
    worth = {}
    for way in (wanted.value, "edge", "full"):
        # Few audits: so many as chose the way would do the work of the gate.
        camera = Camera(view, known=_pinned(way), **sections, trust={"audit_rate": 0.02})
        camera.live(190, 200)
        worth[way] = camera.worth(200, 230, float(sections["selftest"]["price"]))
        assert camera.pipeline.way is not None
        assert camera.pipeline.way.mode.value == way
    assert worth[wanted.value] >= max(worth.values()) - 0.02, worth


def test_a_full_stream_gives_way_to_the_budget() -> None:
    camera = Camera(restless, misses={"blob_loss": 0}, selftest={"price": 1e-6})
    assert camera.live(0, 200) is Mode.FULL
    poor = Allowance(bytes_now=300, byte_price=1e-5)
    assert camera.live(200, 330, poor) is not Mode.FULL


def test_the_way_is_written_down_and_known_after_a_restart() -> None:
    camera = Camera(_unsure, selftest=DEAR, known=Recollection())
    camera.live(0, 250)
    records = [note.value for note in camera.notes if note.kind is SiteMode]
    assert records
    last = records[-1]
    assert isinstance(last, SiteMode)
    assert last.mode == "edge"
    assert {note.key for note in camera.notes if note.kind is SiteMode} == {"mode"}
    again = Camera(camera.view, known=Recollection(selftest=last))
    assert again.pipeline.way is not None
    assert again.pipeline.way.mode is Mode.EDGE
    again.live(250, 280)
    assert again.ordinary() == []


def test_the_settings_can_name_the_way() -> None:
    view = _steady(seen(CAR), seen(CAR))
    for sections in (
        {"regions": {"carrier": "canvas"}},
        {"regions": {"carrier": "mosaic"}},
        {"trust": {"audit_rate": 0.0}},
        {"selftest": {"enabled": False}},
    ):
        assert Camera(view, **sections).pipeline.way is None


@pytest.mark.parametrize("enforce", [False, True])
def test_what_is_demanded_at_any_price_is_asked_whatever_the_test_says(enforce: bool) -> None:
    record = SiteMode(at_s=1.7e9, since_s=1.7e9, mode="edge", settled=True)
    camera = Camera(
        _unsure,
        known=Recollection(selftest=record),
        trust={"audit_rate": 0.01, "enforce": enforce, "without": "send_all"},
    )
    camera.live(0, 20)
    assert bool(camera.ordinary()) is enforce


@cache
def _street(n: int) -> tuple[np.ndarray, Detections, Detections]:
    """The simulated street: the light model misses what is small and is unsure of the rest."""
    shot = StreetCamera(StreetConfig(seed=7, width=320, height=192)).draw(n)
    truth = shot.truth
    areas = truth.areas()
    dice = np.random.default_rng(n)
    scores = np.clip(0.35 + areas / 1000 + 0.1 * dice.standard_normal(len(areas)), 0.06, 0.97)
    light = replace(truth, scores=scores.astype(np.float32))
    return shot.image, light.select(np.flatnonzero(areas >= 30)), truth


def test_on_the_simulated_street_each_way_is_weighed() -> None:
    camera = Camera(_street, CLASS_NAMES, gate={"classes": ()})
    mode = camera.live(0, 120)
    site = camera.pipeline.way
    assert site is not None
    assert set(site.bytes_per_s) == set(Mode)
    assert site.bytes_per_s[Mode.FULL] > site.bytes_per_s[Mode.CANVAS] > 0
    assert site.bytes_per_s[Mode.MOSAIC] > site.bytes_per_s[Mode.CANVAS]
    assert site.audits >= 40
    worths = site.worths(0.05)
    assert worths[Mode.CANVAS].gain.value > 0
    # No way is in force that the numbers show to be worth less than the edge alone.
    assert worths[mode].value.high >= 0
    assert any("audits" in reason for reason in site.reasons), site.reasons
    assert worths[mode].value.high >= max(worth.value.low for worth in worths.values())
    assert site.snapshot(0.0).full.count >= 10


def test_agreement_is_the_score_of_a_frame() -> None:
    nothing = seen()
    assert agreement(nothing, nothing, None) == 1.0
    assert agreement(seen(CAR), nothing, None) == 0.0
    assert agreement(seen(CAR), seen(CAR), None) == 1.0
    assert agreement(seen(CAR), nothing, frozenset({"person"})) == 1.0
    other: Seen = ((100, 60, 130, 90), 0.9, "car")
    assert agreement(seen(CAR), seen(CAR, other), None) == pytest.approx(2 / 3)


def test_a_verdict_puts_right_what_its_regions_show() -> None:
    wrong: Seen = ((100, 60, 130, 90), 0.9, "car")
    missed: Seen = ((10, 10, 30, 30), 0.9, "person")
    answer, heavy = seen(CAR, wrong), seen(CAR, missed)
    none = np.empty((0, 4), np.float32)
    assert put_right(answer, heavy, none) is answer
    right = np.array([[95, 55, 135, 95]], np.float32)
    assert put_right(answer, heavy, right).class_names() == ["car"]
    everywhere = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    assert agreement(put_right(answer, heavy, everywhere), heavy, None) == 1.0
    half = np.array([[0, 0, 20, HEIGHT]], np.float32)
    assert agreement(put_right(answer, heavy, half), heavy, None) == 0.5


def test_traffic_is_told_once_it_was_watched_for_a_while() -> None:
    traffic = Traffic()
    traffic.passed(10.0)
    traffic.sent(500)
    assert traffic.per_s is None
    for _ in range(600):
        traffic.passed(1.0)
        traffic.sent(100)
    assert traffic.per_s == pytest.approx(100, rel=0.02)
    for _ in range(3000):
        traffic.passed(1.0)
    assert traffic.per_s == pytest.approx(0, abs=0.1)


def test_probes_that_cannot_be_encoded_are_given_up() -> None:
    camera = Camera(_steady(seen(CAR), seen(CAR)))
    packer, probes = camera.pipeline.packer, Probes(SelftestSettings())
    canonical = packer.canonical(WIDTH, HEIGHT)
    probes.begin(0.0, packer.trial("canvas"), packer.trial("mosaic"))
    assert not probes.due(1.0)
    probes.frame(ROOM, canonical, 1)
    probes.question(ROOM, (canonical.whole(),), canonical, 100.0, 1)
    assert not probes.wants_frames
    assert probes.whole_bytes is None
    assert probes.ratio is None
