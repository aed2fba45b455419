"""From boxes and beliefs to what is published. A pure function."""

from __future__ import annotations

import numpy as np

from secondlook.edge.fusion.correction import corrected
from secondlook.edge.fusion.history import Entry
from secondlook.edge.pipeline_settings import FusionSettings
from secondlook.shared.geometry import suppress
from secondlook.shared.values import Detections

_DUPLICATE_IOU = 0.65
_RISEN = 0.15
"""A refuted box is published again once its score has risen by this much."""


def compose(
    entry: Entry, names: tuple[str, ...], settings: FusionSettings
) -> tuple[Detections, Detections]:
    """What stands for a frame, and the weaker boxes beside it.

    Boxes with a verdict are published as the verdict says, others from ``publish_score`` on.

    Returns:
        The published boxes and the candidates, both best first.
    """
    tracked = entry.tracked
    boxes = tracked.boxes.copy()
    scores = tracked.scores.copy()
    classes = tracked.classes.copy()
    published = scores >= settings.publish_score
    rank = scores.copy()
    for row, track_id in enumerate(tracked.track_ids.tolist()):
        belief = entry.beliefs.get(track_id)
        if belief is None:
            continue
        if belief.refuted:
            published[row] &= scores[row] >= belief.edge_score + _RISEN
            continue
        carried = entry.time_s > belief.at_s
        if carried and (scores[row] < settings.carry_score or belief.fallen(float(scores[row]))):
            continue
        published[row] = True
        if carried and classes[row] != belief.class_index and scores[row] > belief.score:
            # The verdict was about an earlier frame, and less sure than the edge is now.
            continue
        scores[row], classes[row] = belief.score, belief.class_index
        # Where two boxes claim one object, the one with a verdict wins.
        rank[row] = 1 + belief.score
        if track_id in entry.corrected:
            boxes[row] = entry.corrected[track_id]
        elif carried:
            boxes[row] = corrected(boxes[row], belief.correction)
    unseen = [item for item in entry.unseen if item.track_id in entry.beliefs]
    if unseen:
        beliefs = [entry.beliefs[item.track_id] for item in unseen]
        added = Detections.of(
            [item.box for item in unseen],
            [belief.score for belief in beliefs],
            [belief.class_index for belief in beliefs],
            names,
            [item.track_id for item in unseen],
        )
        stands = np.array([not belief.refuted for belief in beliefs])
        everything = Detections.concatenate(
            [Detections(boxes, scores, classes, names, tracked.track_ids), added], names
        )
        published = np.concatenate([published, stands])
        rank = np.concatenate([rank, 0.5 + added.scores])
    else:
        everything = Detections(boxes, scores, classes, names, tracked.track_ids)
    which = np.flatnonzero(published)
    which = which[suppress(everything.boxes[which], rank[which], _DUPLICATE_IOU)]
    answer = everything.select(which)
    answer = answer.select(np.argsort(-answer.scores, kind="stable"))
    return answer, everything.select(np.flatnonzero(~published))
