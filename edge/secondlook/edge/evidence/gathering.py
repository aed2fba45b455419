"""What is known about each candidate of a frame, gathered for the gate."""

from __future__ import annotations

import numpy as np

from secondlook.edge.evidence.features import CHANGE, change_features
from secondlook.edge.fusion.history import Entry
from secondlook.edge.gate.buckets import buckets_of
from secondlook.edge.gate.calibration import NO_CALIBRATION, Calibration
from secondlook.edge.gate.protocol import FrameEvidence
from secondlook.edge.gate.risk import Risk, RiskModel
from secondlook.edge.scene import Scene
from secondlook.shared.values.detections import NO_TRACK

SURER_ODDS = 1.0
"""A known false positive is asked about when the log odds of its score have risen by as much."""


def assess(entry: Entry, model: RiskModel, calibration: Calibration = NO_CALIBRATION) -> Risk:
    """How likely each box of a frame is right, and what a verdict would save.

    A verdict about this very frame leaves no doubt: its loss is 0. So it is with a known false
    positive, whatever the model says, as long as the light model has not become much surer.

    Args:
        entry: the frame.
        model: says it from the evidence.
        calibration: what audits of this camera have taught about what the model says.
    """
    risk = _assess(entry, model)
    if not calibration.curves:
        return risk
    beliefs = [entry.beliefs.get(track_id) for track_id in entry.tracked.track_ids.tolist()]
    names = entry.tracked.class_names()
    return calibration.apply(risk, buckets_of(entry.features, names, beliefs, entry.time_s))


def _assess(entry: Entry, model: RiskModel) -> Risk:
    tracked = entry.tracked
    ids = tracked.track_ids.tolist()
    risk = model.unverified(entry.features)
    rows = [row for row, track_id in enumerate(ids) if track_id in entry.beliefs]
    if not rows:
        return risk
    beliefs = [entry.beliefs[ids[row]] for row in rows]
    at, time_s = np.array(rows, np.intp), entry.time_s
    sights = entry.features[at]
    changes = change_features(sights, tracked.boxes[at], tracked.classes[at], beliefs, time_s)
    said = [(one.refuted, one.at_s == time_s, one.lasts(time_s)) for one in beliefs]
    refuted, here, lasting = np.array(said, bool).T
    known = model.verified(sights, changes, refuted)
    absent = lasting & (changes[:, CHANGE.index("smoothed_risen")] < SURER_ODDS)
    risk.right[at] = np.where(here, ~refuted, np.where(absent, 0.0, known.right))
    risk.loss[at] = np.where(here | absent, 0.0, known.loss)
    return risk


def gather(
    camera: str,
    entry: Entry,
    scene: Scene,
    risk: Risk,
    interest: frozenset[str] | None,
    *,
    view_gain: float = 0.0,
    publish_probability: float = 0.5,
) -> FrameEvidence:
    """Evidence about the candidates of the frame answered now, and about the frame.

    Args:
        camera: id of the camera.
        entry: the frame.
        scene: what is known about the camera.
        risk: of its boxes, from `assess`.
        interest: class names that are worth a question; ``None``: all.
        view_gain: by what share a picture of which nothing can be seen raises the loss of boxes
            that are not published.
        publish_probability: from which boxes are published.
    """
    tracked, unseen = entry.tracked, entry.unseen
    names = tracked.class_names()
    # What either tier takes for something of interest is worth a question.
    seen_names = list(names)
    asked = scene.questions.tracks()
    ids = [*tracked.track_ids.tolist(), *(item.track_id for item in unseen)]
    beliefs = [entry.beliefs.get(track_id) for track_id in ids]
    ages = [np.nan if b is None else entry.time_s - b.at_s for b in beliefs]
    for row, belief in enumerate(beliefs[: len(names)]):
        if belief is not None and not belief.refuted:
            names[row] = tracked.names[belief.class_index]
    names += [tracked.names[entry.beliefs[item.track_id].class_index] for item in unseen]
    boxes = tracked.boxes
    right, loss, scores = risk.right, risk.loss, tracked.scores.astype(np.float64)
    if unseen:
        boxes = np.concatenate([boxes, np.stack([item.box for item in unseen])])
        # The place looks as it did when the cloud saw the object there: it stands until it ages.
        right = np.concatenate([right, np.ones(len(unseen))])
        loss = np.concatenate([loss, np.zeros(len(unseen))])
        scores = np.concatenate([scores, np.zeros(len(unseen))])
    if interest is not None:
        seen_names += names[len(seen_names) :]
        pairs = zip(names, seen_names, strict=True)
        loss = np.where([a in interest or b in interest for a, b in pairs], loss, 0.0)
    in_flight = [track_id in asked for track_id in ids]
    reasons = [""] * len(ids)
    doubt = entry.signs.sighted.doubt * view_gain
    if doubt > 0:
        # In a bad picture silence says less.
        weak = np.arange(len(loss)) < len(tracked)
        weak[: len(tracked)] &= right[: len(tracked)] < publish_probability
        loss = np.where(weak, np.minimum(1.0, loss * (1.0 + doubt)), loss)
    suspects = entry.signs.suspects
    if suspects:
        waiting = scene.questions.suspects()
        more = len(suspects)
        boxes = np.concatenate([boxes, np.stack([item.box for item in suspects])])
        names += [""] * more
        ids += [NO_TRACK] * more
        nothing = np.zeros(more)
        scores, right = np.concatenate([scores, nothing]), np.concatenate([right, nothing])
        loss = np.concatenate([loss, [item.loss for item in suspects]])
        ages += [np.nan] * more
        in_flight += [item.key in waiting for item in suspects]
        reasons += [item.reason for item in suspects]
    return FrameEvidence(
        camera=camera,
        sequence=entry.frame.sequence,
        boxes=boxes,
        names=tuple(names),
        track_ids=np.array(ids, np.int64),
        scores=scores,
        right=right,
        loss=loss,
        verdict_age_s=np.array(ages, np.float64),
        in_flight=np.array(in_flight, bool),
        reasons=tuple(reasons),
        background_age_s=(
            None if scene.background_s is None else entry.time_s - scene.background_s
        ),
        background_in_flight=scene.questions.whole_frame_waits(),
        questions=len(scene.questions),
    )
