"""What the edge daemon published, read back from its JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections

Region = tuple[int, int, int, int]
"""x, y, width, height in pixels of the native frame."""


@dataclass(slots=True, eq=False)
class Playback:
    """The events of one camera, as they come.

    Attributes:
        answers: what was said about each frame, by sequence number.
        regions: what was asked about, by sequence number; only frames that asked.
        revisions: revisions so far.
    """

    answers: dict[int, FrameAnswer] = field(default_factory=dict)
    regions: dict[int, list[Region]] = field(default_factory=dict)
    revisions: int = 0

    def take(self, line: bytes) -> None:
        """The next line.

        Raises:
            InvalidInput: it is not an event of the edge daemon.
        """
        try:
            event: dict[str, Any] = json.loads(line)
            sequence = int(event["sequence"])
            detections = _detections(event["detections"])
            latency_s = float(event["latency_s"])
            if event["type"] == "revision":
                self.revisions += 1
                self.answers[sequence].revise(detections, latency_s)
            else:
                self.answers[sequence] = FrameAnswer.once(detections, latency_s)
                regions = event["decision"]["regions"]
                if regions:
                    self.regions[sequence] = [(x, y, w, h) for x, y, w, h in regions]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"not an event of the edge: {line[:120]!r} ({error})") from error

    def ledger(self, sequences: list[int]) -> Ledger:
        """The answers to the frames of these numbers, in order.

        Raises:
            InvalidInput: a frame was never answered.
        """
        missing = [number for number in sequences if number not in self.answers]
        if missing:
            raise InvalidInput(
                f"the edge left {len(missing)} of {len(sequences)} frames without an answer, "
                f"the first is {missing[0]}"
            )
        return Ledger("secondlook", [self.answers[number] for number in sequences])


def _detections(rows: list[dict[str, Any]]) -> Detections:
    names = tuple(dict.fromkeys(str(row["class"]) for row in rows))
    return Detections.of(
        [row["box"] for row in rows],
        [row["score"] for row in rows],
        [names.index(str(row["class"])) for row in rows],
        names,
        [row["track"] for row in rows],
    )
