"""How far a variant agrees with the network it was made from, and how fast it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from secondlook.shared.detect.protocol import Detector, Image
from secondlook.shared.measure.matching import Counts
from secondlook.shared.measure.metric import ALL_CLASSES


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was measured.

    Attributes:
        counts: the variant's boxes against those of the base, every class, at IoU 0.5.
        images: how many images.
        boxes: boxes of the base on them.
        speed: median time of a call of the base by that of the variant.
    """

    counts: Counts
    images: int
    boxes: int
    speed: float

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 0 to 1."""
        return self.counts.f1


def measure(
    base: Detector,
    variant: Detector,
    images: Sequence[Image],
    *,
    score: float,
    on_picture: Callable[[int], None],
) -> Agreement:
    """Run both on every image, in turns, so that a busy machine disturbs both alike.

    Args:
        base: the network it was made from.
        variant: the same in another precision.
        images: that neither was calibrated on.
        score: boxes below are not compared.
        on_picture: told how many images are done.

    Raises:
        ModelFailure: one of them fails.
    """
    base.warm_up()
    variant.warm_up()
    counts, boxes = Counts(), 0
    spent: list[tuple[float, float]] = []
    for done, image in enumerate(images, 1):
        started = time.perf_counter()
        (expected,) = base.detect([image], score)
        halfway = time.perf_counter()
        (given,) = variant.detect([image], score)
        spent.append((halfway - started, time.perf_counter() - halfway))
        counts += ALL_CLASSES.compare(given, expected)
        boxes += len(expected)
        on_picture(done)
    of_base, of_variant = (statistics.median(times) for times in zip(*spent, strict=True))
    return Agreement(counts, len(images), boxes, of_base / of_variant)
