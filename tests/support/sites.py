"""Sites at which one way of working is best."""

from __future__ import annotations

import numpy as np

from secondlook.shared.values import Detections
from support.edge import Seen, seen

WIDTH, HEIGHT = 160, 96


def restless(n: int) -> tuple[np.ndarray, Detections, Detections]:
    """Everything moves, the light model is sure of what is not there, and blind for what is.

    Returns:
        Of a frame: its picture, what the light model sees, what the heavy one sees.
    """
    dice = np.random.default_rng(n)
    image = dice.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    image = np.kron(image, np.ones((8, 8, 1), np.uint8))
    x = float(dice.integers(0, WIDTH - 40))
    there: Seen = ((x, 5, x + 32, 30), 0.9, "person")
    wrong: Seen = ((WIDTH - x - 32, 60, WIDTH - x, 90), 0.98, "car")
    return image, seen(wrong), seen(there)
