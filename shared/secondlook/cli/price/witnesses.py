"""What watches while the daemon plays: what is said about each frame, and how long models take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from secondlook.cli.price.ledger import FrameAnswer
from secondlook.edge.sinks import Event
from secondlook.shared.detect import Detector, ModelInfo
from secondlook.shared.detect.protocol import Image
from secondlook.shared.values import Detections


class Recorder:
    """A sink that keeps what is said about each frame, and when."""

    name = "price"
    wants_images = False

    def __init__(self) -> None:
        self.answers: dict[int, FrameAnswer] = {}

    def write(self, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        for event in events:
            said = event.observation
            after_s = said.latency_s or 0.0
            sequence = said.frame.sequence
            if not said.revision:
                self.answers[sequence] = FrameAnswer.once(said.detections, after_s)
            elif sequence in self.answers:
                self.answers[sequence].revise(said.detections, after_s)

    def close(self) -> None:
        """See `Sink.close`."""


class TimedDetector:
    """A detector that notes how long each call takes.

    Attributes:
        took_s: of each call.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.took_s: list[float] = []

    @property
    def info(self) -> ModelInfo:
        """See `Detector.info`."""
        return self._detector.info

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        """See `Detector.detect`."""
        started_s = time.perf_counter()
        found = self._detector.detect(images, min_score)
        self.took_s.append(time.perf_counter() - started_s)
        return found

    def warm_up(self) -> None:
        """See `Detector.warm_up`."""
        self._detector.warm_up()

    def close(self) -> None:
        """See `Detector.close`."""
        self._detector.close()
