"""What a pipeline counts and times, for benchmarks and for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PipelineCounts:
    """What happened that nobody else sees.

    Attributes:
        late_verdicts: verdicts about frames that are no longer kept, or never were.
        unencodable: escalations that did not fit their limit of bytes.
        copied_bytes: pixels copied on the way to the encoder, bytes.
    """

    late_verdicts: int = 0
    unencodable: int = 0
    copied_bytes: int = 0


@dataclass(slots=True)
class PipelineTimings:
    """Where the last frame's time went, seconds.

    Attributes:
        track_s: thumbnail, tracker, and what is known about places.
        gate_s: answer, evidence, decision and regions.
        encode_s: packing and encoding; 0 where nothing was asked.
    """

    track_s: float = 0.0
    gate_s: float = 0.0
    encode_s: float = 0.0
