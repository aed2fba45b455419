"""What there is to say about one frame: the words, the numbers, and all of it as plain JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from secondlook.edge.decisions.policy import PolicySettings
from secondlook.edge.decisions.records import Rectangle


@dataclass(frozen=True, slots=True)
class CandidateStory:
    """One candidate in words.

    Attributes:
        index: in the evidence.
        name: its class; empty for a place where something may have been missed.
        track: its track id; -1 for a place.
        box: xyxy, pixels of the native frame.
        score: the light model's.
        right: probability that the heavy model says the same.
        loss: expected errors that a verdict would save.
        bytes: estimate of asking about it alone.
        fate: ``"asked"``, ``"left out"``, ``"waits"``, ``"known"``, ``"of no interest"`` or
            ``"confident"``.
        why: in words.
        effect: what the verdict said about it; empty where none did.
    """

    index: int
    name: str
    track: int
    box: tuple[float, float, float, float]
    score: float
    right: float
    loss: float
    bytes: float
    fate: str
    why: str
    effect: str = ""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What another threshold would have done with the same evidence.

    Attributes:
        threshold: the other one.
        whole_frame: whether the whole frame would have gone.
        asked: how many candidates it would have asked about.
        bytes: estimate, framing apart.
    """

    threshold: float
    whole_frame: bool
    asked: int
    bytes: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole story of a frame.

    Attributes:
        camera, sequence: which.
        captured_at: wall clock, seconds since the Unix epoch.
        stream_s: its time in the stream, seconds.
        size: width and height of the native frame, pixels.
        headline: sent or not, and why, in one sentence.
        reasons: the gate's, as it said them.
        terms: threshold, coin, price, budget and certificate, in words.
        candidates: of the frame, the largest loss first.
        sent: what left the site, in words; empty where nothing did.
        regions: rectangles of the frame that were sent, or were to be: x, y, width, height.
        after: what came of it, in words.
        what_ifs: other thresholds.
        policy: under which it was decided.
    """

    camera: str
    sequence: int
    captured_at: float
    stream_s: float
    size: tuple[int, int]
    headline: str
    reasons: tuple[str, ...]
    terms: tuple[str, ...]
    candidates: tuple[CandidateStory, ...]
    sent: tuple[str, ...]
    regions: tuple[Rectangle, ...]
    after: tuple[str, ...]
    what_ifs: tuple[WhatIf, ...]
    policy: PolicySettings

    def document(self) -> dict[str, Any]:
        """As plain JSON; what is not known is null."""

        def clean(value: float) -> float | None:
            return float(value) if math.isfinite(value) else None

        return {
            "camera": self.camera,
            "sequence": self.sequence,
            "captured_at": self.captured_at,
            "stream_s": self.stream_s,
            "frame": list(self.size),
            "headline": self.headline,
            "reasons": list(self.reasons),
            "terms": list(self.terms),
            "candidates": [
                {
                    "class": one.name, "track": one.track, "box": list(one.box),
                    "score": clean(one.score), "right": clean(one.right), "loss": clean(one.loss),
                    "bytes": clean(one.bytes), "fate": one.fate, "why": one.why,
                    "verdict": one.effect,
                }
                for one in self.candidates
            ],
            "sent": list(self.sent),
            "regions": [list(region) for region in self.regions],
            "after": list(self.after),
            "other_thresholds": [
                {
                    "threshold": one.threshold, "whole_frame": one.whole_frame,
                    "asked": one.asked, "bytes": clean(one.bytes),
                }
                for one in self.what_ifs
            ],
        }  # fmt: skip
