"""An answer as a line of JSON. The schema is part of the interface; fields are only ever added.

::

    {"type": "answer" | "revision",     answer: at once; revision: what stands since a verdict
     "camera": "gate",
     "sequence": 42,                    number of the frame
     "captured_at": 1700000000.123,     seconds since the Unix epoch
     "media_s": 1.4,                    time in the stream
     "width": 640, "height": 360,       the frame, pixels
     "latency_s": 0.031,                from capture to publication
     "revision": 0,                     0 for the answer, then 1, 2, ...
     "cause": "3f2a-42",                request id of the verdict; revisions only
     "detections": [{"box": [x1, y1, x2, y2], "score": 0.71, "class": "car", "track": 7}],
     "decision": {"escalate": true, "purpose": "unsure",
                  "reasons": ["score 0.41 of car lies in the band"],
                  "regions": [[x, y, width, height]]}}    answers only
"""

from __future__ import annotations

import json
from typing import Any

from secondlook.edge.sinks.protocol import Event
from secondlook.shared.values import Decision, Detections


def to_line(event: Event) -> bytes:
    """One line, with its end."""
    return json.dumps(to_document(event), separators=(",", ":")).encode() + b"\n"


def to_document(event: Event) -> dict[str, Any]:
    """The line before it is text."""
    observation = event.observation
    frame = observation.frame
    document: dict[str, Any] = {
        "type": "revision" if observation.revision else "answer",
        "camera": frame.camera,
        "sequence": frame.sequence,
        "captured_at": round(frame.captured_at, 3),
        "media_s": round(event.media_s, 3),
        "width": frame.width,
        "height": frame.height,
        "latency_s": None if observation.latency_s is None else round(observation.latency_s, 4),
        "revision": observation.revision,
    }
    if observation.cause is not None:
        document["cause"] = observation.cause
    document["detections"] = _detections(observation.detections)
    if observation.decision is not None and not observation.revision:
        document["decision"] = _decision(observation.decision)
    return document


def _detections(detections: Detections) -> list[dict[str, Any]]:
    return [
        {
            "box": [round(value, 1) for value in box],
            "score": round(score, 3),
            "class": name,
            "track": track,
        }
        for box, score, name, track in zip(
            detections.boxes.tolist(),
            detections.scores.tolist(),
            detections.class_names(),
            detections.track_ids.tolist(),
            strict=True,
        )
    ]


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "escalate": decision.escalate,
        "purpose": decision.purpose.value,
        "reasons": list(decision.reasons),
        "regions": [[r.x, r.y, r.width, r.height] for r in decision.regions],
    }
