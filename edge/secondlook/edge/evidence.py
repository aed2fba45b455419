"""What is known about each box of a frame, gathered for the gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.history import Entry
from secondlook.edge.gate import Evidence, FrameEvidence
from secondlook.edge.scene import Scene


def gather(camera: str, entry: Entry, scene: Scene) -> FrameEvidence:
    """Evidence about the boxes of the frame answered now, and about the frame."""
    hits = {track.id: track.hits for track in scene.tracker.tracks}
    asked = scene.questions.tracks()
    names = entry.observation.detections.names
    tracked = entry.tracked
    prior = None if scene.knowledge is None else scene.knowledge.prior

    def evidence(
        box: npt.NDArray[np.float32], score: float, class_index: int, track_id: int
    ) -> Evidence:
        belief = entry.beliefs.get(track_id)
        known = Evidence(
            box,
            score,
            names[class_index],
            track_id,
            hits.get(track_id, 1),
            in_flight=track_id in asked,
            prior=None if prior is None else prior.share(class_index, box),
        )
        return known if belief is None else _with_verdict(known, belief, entry.time_s, names)

    boxes = [
        evidence(tracked.boxes[row], score, class_index, track_id)
        for row, (score, class_index, track_id) in enumerate(
            zip(
                tracked.scores.tolist(),
                tracked.classes.tolist(),
                tracked.track_ids.tolist(),
                strict=True,
            )
        )
    ]
    for item in entry.unseen:
        belief = entry.beliefs[item.track_id]
        boxes.append(evidence(item.box, 0.0, belief.class_index, item.track_id))
    return FrameEvidence(
        camera,
        entry.frame.sequence,
        tuple(boxes),
        None if scene.background_s is None else entry.time_s - scene.background_s,
        scene.questions.whole_frame_waits(),
    )


def _with_verdict(
    known: Evidence, belief: Belief, time_s: float, names: tuple[str, ...]
) -> Evidence:
    return replace(
        known,
        verdict_age_s=time_s - belief.at_s,
        verdict_left_s=belief.until_s - time_s,
        refuted=belief.refuted,
        verdict_edge_class=names[belief.edge_class] if belief.edge_class >= 0 else "",
        verdict_edge_score=belief.edge_score,
        verdict_area=belief.area,
    )
