"""A pipeline in a storm: whatever models, clocks, networks and clouds do, it answers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.edge import NAMES, frame, seen, textured, verdict
from support.gate import plain_risk, plain_settings

from secondlook.edge.control.allowance import Allowance
from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.clock import ManualClock
from secondlook.shared.values import Escalation, Observation

IMAGES = [textured(seed=0), textured(seed=1), textured(160, 120, seed=2)]

_place = st.floats(-60, 340, width=32)
_side = st.floats(0, 200, width=32)
_box = st.tuples(_place, _place, _side, _side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
_seen = st.tuples(_box, st.floats(0.0625, 1, width=32), st.sampled_from(NAMES))
_some = st.lists(_seen, max_size=5)
_time = st.one_of(st.floats(-100, 100), st.sampled_from([math.nan, math.inf, 0.0, 1e9]))
_show = st.tuples(st.just("show"), _some, st.sampled_from([0, 0, 0, 1, 2]), _time, st.booleans())
_say = st.tuples(st.just("say"), _some, st.integers(0, 5), st.just(0.0), st.just(True))
_lose = st.tuples(st.just("lose"), st.just([]), st.integers(0, 5), st.just(0.0), st.just(True))
_story = st.lists(st.one_of(_show, _show, _say, _lose), max_size=14)


def _is_sound(answer: Observation) -> None:
    width, height = answer.frame.width, answer.frame.height
    both = (answer.detections, answer.candidates)
    for part in both:
        assert np.isfinite(part.boxes).all()
        assert ((part.scores >= 0) & (part.scores <= 1)).all()
        ids = part.track_ids.tolist()
        assert len(set(ids)) == len(ids)
    shared = set(both[0].track_ids.tolist()) & set(both[1].track_ids.tolist())
    assert not shared, "a track is published or a candidate, not both"
    if answer.decision is not None:
        for region in answer.decision.regions:
            assert region.x + region.width <= width
            assert region.y + region.height <= height


@settings(max_examples=40)
@given(_story, st.sampled_from([0.0, 0.3, 1.0]))
def test_every_frame_is_answered_soundly(story: list[tuple], audit_rate: float) -> None:
    pipeline = CameraPipeline(
        "gate",
        plain_settings(audit_rate=audit_rate),
        NAMES,
        ManualClock(),
        session="s",
        risk=plain_risk(),
    )
    waiting: list[Escalation] = []
    revisions: dict[int, int] = {}
    sequence, gone_ids = 0, set[int]()
    for what, boxes, number, time_s, rich in story:
        if what == "show":
            sequence += 1
            shown = frame(sequence, IMAGES[number])
            allowance = Allowance() if rich else Allowance(byte_price=0.1, bytes_now=800.0)
            answer = pipeline.answer(shown, seen(*boxes), 0.0, media_s=time_s, allowance=allowance)
            _is_sound(answer)
            assert answer.revision == 0
            gone_ids |= set(answer.detections.track_ids.tolist())
            asked = pipeline.escalation(shown, answer)
            if asked is not None:
                waiting.append(asked)
        elif waiting:
            # Kept in the list now and then, so that verdicts come twice, or after a failure.
            asked = waiting[number % len(waiting)]
            if what == "lose":
                pipeline.asked_failed(asked)
                continue
            for revised in pipeline.apply(verdict(asked, *boxes), 1.0):
                _is_sound(revised)
                last = revisions.get(revised.frame.sequence, 0)
                assert revised.revision == last + 1
                revisions[revised.frame.sequence] = revised.revision
        assert pipeline.waiting <= len(waiting)
    assert all(track_id < pipeline.next_track_id for track_id in gone_ids)
