"""From boxes and beliefs to what is published. A pure function."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.evidence.features import class_weight
from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.correction import corrected
from secondlook.edge.fusion.history import Entry
from secondlook.edge.pipeline_settings import FusionSettings
from secondlook.shared.geometry import suppress
from secondlook.shared.values import Detections

_DUPLICATE_IOU = 0.65


def compose(
    entry: Entry,
    right: npt.NDArray[np.float64],
    names: tuple[str, ...],
    settings: FusionSettings,
) -> tuple[Detections, Detections]:
    """What stands for a frame, and the boxes beside it that do not.

    A box is published where it is likelier right than not, with that probability as its score. One
    that a verdict about this very frame has judged is published as the verdict says.

    Args:
        entry: the frame.
        right: float64 (n,), probability that each of its boxes is right.
        names: class names known now.
        settings: thresholds.

    Returns:
        The published boxes and the candidates, both best first.
    """
    tracked = entry.tracked
    boxes = tracked.boxes.copy()
    scores = right.astype(np.float32)
    classes = tracked.classes.copy()
    published = right >= settings.publish_probability
    if entry.doubles:
        published[list(entry.doubles)] = False
    rank = scores.copy()
    carried: list[tuple[int, Belief]] = []
    for row, track_id in enumerate(tracked.track_ids.tolist()):
        belief = entry.beliefs.get(track_id)
        if belief is None or belief.refuted:
            continue
        here = belief.at_s == entry.time_s
        if here:
            classes[row], scores[row] = belief.class_index, belief.score
        elif classes[row] != belief.class_index:
            weight = class_weight(entry.features[row])
            classes[row] = belief.carried_class(int(classes[row]), weight)
        # Where two boxes claim one object, the one with a verdict wins.
        rank[row] += 1
        if track_id in entry.corrected:
            boxes[row] = entry.corrected[track_id]
        elif track_id in entry.between:
            boxes[row] = entry.between[track_id]
        elif not here:
            carried.append((row, belief))
    if carried:
        rows = [row for row, _ in carried]
        boxes[rows] = corrected(boxes[rows], np.stack([one.correction for _, one in carried]))
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
    (which,) = published.nonzero()
    which = which[suppress(everything.boxes[which], rank[which], _DUPLICATE_IOU)]
    which = which[np.argsort(-everything.scores[which], kind="stable")]
    return everything.select(which), everything.select(~published)
