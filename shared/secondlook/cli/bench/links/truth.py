"""How good the answers were, against what is really there: for simulated cameras alone."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.cli.bench.links.heard import CameraHeard
from secondlook.cli.bench.links.plan import Camera
from secondlook.shared.measure import STREET_CLASSES, Counts, Metric
from secondlook.shared.sim import StreetCamera, StreetConfig


@dataclass(frozen=True, slots=True)
class Quality:
    """F1 on the classes of interest.

    Attributes:
        first: of the answers at once.
        final: of what stood when all verdicts were in.
        frames: how many were looked at.
    """

    first: float
    final: float
    frames: int


def quality(camera: Camera, heard: CameraHeard, most: int) -> Quality | None:
    """Draw some of the frames again and compare. Blocking; 25 ms of processor time each.

    Args:
        camera: which.
        heard: what it said.
        most: so many frames at most, evenly over the run; 0: none.
    """
    answers = sorted(heard.playback.answers.items())
    if not camera.simulated or not most or not answers:
        return None
    street = StreetCamera(StreetConfig.from_url(camera.url))
    metric = Metric(classes=STREET_CLASSES)
    first = final = Counts()
    step = max(1, -(-len(answers) // most))
    chosen = answers[::step]
    for sequence, answer in chosen:
        drawn = street.draw(sequence)
        first += metric.compare_with_truth(answer.first, drawn.truth, drawn.ignore)
        final += metric.compare_with_truth(answer.final, drawn.truth, drawn.ignore)
    return Quality(first.f1, final.f1, len(chosen))
