"""Which frames to show: where the second look changed most, spread over the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.cli.demo.playback import Region
from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.jpeg import encode_jpeg
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.outcome import against_truth
from secondlook.shared.measure import Counts, Metric
from secondlook.shared.values import Detections

_QUALITY = 72


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame to show.

    Attributes:
        sequence: its number.
        media_s: its time, seconds.
        width, height: its size, pixels.
        jpeg: its picture.
        first: what the edge said at once.
        final: what stood after the verdicts.
        truth: what is there and counts.
        regions: what was asked about, x y width height.
    """

    sequence: int
    media_s: float
    width: int
    height: int
    jpeg: bytes
    first: Detections
    final: Detections
    truth: Detections
    regions: list[Region]


def choose(ledger: Ledger, standard: Standard, metric: Metric, count: int) -> list[int]:
    """Indices of ``count`` frames (fewer of a short clip), in order.

    The clip is cut into as many parts; each gives the frame whose final answer has the fewest
    errors in comparison to its first. So the choice shows what verdicts do, all through the clip.
    """
    first = against_truth((a.first for a in ledger.answers), standard, metric)
    final = against_truth((a.final for a in ledger.answers), standard, metric)
    gains = [_errors(a) - _errors(b) for a, b in zip(first, final, strict=True)]
    parts = np.array_split(np.arange(len(gains)), min(count, len(gains)))
    return [int(max(part, key=lambda index: gains[index])) for part in parts]


def sample_of(
    index: int,
    image: npt.NDArray[np.uint8],
    ledger: Ledger,
    standard: Standard,
    metric: Metric,
    regions: Sequence[Region],
) -> Sample:
    """One frame with its picture (uint8 (height, width, 3) BGR)."""
    answer = ledger.answers[index]
    truth = standard.truths[index].select(~standard.ignores[index])
    if metric.classes is not None:
        truth = truth.of_classes(metric.classes)
    return Sample(
        standard.sequences[index],
        standard.media_s[index],
        image.shape[1],
        image.shape[0],
        encode_jpeg(image, _QUALITY),
        metric.prepare(answer.first),
        metric.prepare(answer.final),
        truth,
        list(regions),
    )


def _errors(counts: Counts) -> int:
    return counts.false_positives + counts.false_negatives
