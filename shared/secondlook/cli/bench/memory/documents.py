"""What is written: documents of the size and shape of a track's verdict."""

from __future__ import annotations

import base64
import random
from typing import Any

SITE = "bench/cam"


def document(number: int) -> dict[str, Any]:
    """A document like a verdict about a track, about 600 bytes; a different one for each number."""
    draw = random.Random(number)
    left, top = draw.uniform(0, 600), draw.uniform(0, 320)
    look = bytes(min(255, max(0, round(draw.gauss(110, 30)))) for _ in range(12 * 8))
    return {
        "schema": 1,
        "at_s": 1_760_000_000.0 + number * 0.1,
        "until_s": 1_760_000_040.0 + number * 0.1,
        "class_name": draw.choice(("person", "car", "truck", "bicycle")),
        "score": draw.random(),
        "refuted": draw.random() < 0.1,
        "model": "street_heavy",
        "model_version": "3",
        "frame_width": 640,
        "frame_height": 360,
        "box": [left, top, left + draw.uniform(8, 80), top + draw.uniform(8, 80)],
        "look": {"left": 10, "top": 12, "width": 12, "pixels": base64.b64encode(look).decode()},
        "edge_class": "car",
        "edge_score": draw.random(),
        "confirmations": draw.randrange(5),
        "correction": [draw.gauss(0, 0.03) for _ in range(4)],
    }


def record_id(number: int, camera: str = SITE) -> str:
    """The id of a verdict."""
    return f"{camera}/verdict/{number}"
