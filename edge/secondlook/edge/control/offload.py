"""Whether a verdict can still serve the answer, or comes late, for learning and memory."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.edge.control.link import Forecast


@dataclass(frozen=True, slots=True)
class Offload:
    """What becomes of a question. It is never dropped for being late.

    Attributes:
        in_time: whether its verdict is expected within the deadline.
        reason: why, in plain words.
    """

    in_time: bool
    reason: str


def offload(forecast: Forecast | None, left_s: float) -> Offload:
    """Decide by the 95th percentile, so that a promise of time is kept 95 times of 100.

    Args:
        forecast: how long it will take; ``None`` where nothing was measured yet.
        left_s: time until the deadline of the answer, seconds.
    """
    if forecast is None:
        return Offload(True, "no question has been timed yet")
    in_time = forecast.p95_s <= left_s
    relation = "within" if in_time else "beyond"
    return Offload(
        in_time,
        f"95 of 100 verdicts take up to {forecast.p95_s:.3g} s, {relation} the {left_s:.3g} s "
        "in which they serve the answer",
    )
