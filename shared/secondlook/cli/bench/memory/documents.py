"""What is written: documents of the size and shape of a track's verdict."""

from __future__ import annotations

import base64
import random
from functools import cache
from typing import Any

import numpy as np

SITE = "bench/cam"
_LOOK_BYTES = 12 * 8
_NOISE_BYTES = 1 << 22
"""So many that two looks of a page hardly ever share a piece, which would compress too well."""


def document(number: int) -> dict[str, Any]:
    """A document like a verdict about a track, about 600 bytes; a different one for each number."""
    draw = random.Random(number)
    left, top = draw.uniform(0, 600), draw.uniform(0, 320)
    start = draw.randrange(_NOISE_BYTES - _LOOK_BYTES)
    look = _noise()[start : start + _LOOK_BYTES]
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


@cache
def _noise() -> bytes:
    """Grey values; drawn once, since a memory of many records is filled with pieces of them."""
    drawn = np.random.default_rng(0).normal(110, 30, _NOISE_BYTES)
    return bytes(np.clip(drawn, 0, 255).astype(np.uint8))
