"""Kinds of links: how fast, how far, how unsteady, when they are down. `LinkProxy` plays them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from secondlook.shared.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Link:
    """A kind of link.

    Attributes:
        name: what people call it.
        up_kbit_s, down_kbit_s: rate each way, 1000 bits a second.
        rtt_s: round trip of an empty link, half of it each way.
        jitter_s: mean of an exponential delay on top, each way.
        loss: share of segments that must be sent again, each of which costs a round trip more.
        down_from_s: since when the link is down, seconds after the proxy started; ``None``: never.
        down_for_s: for how long.
        source: where the figures come from.

    Raises:
        InvalidInput: a figure is out of range.
    """

    name: str
    up_kbit_s: float
    down_kbit_s: float
    rtt_s: float
    jitter_s: float = 0.0
    loss: float = 0.0
    down_from_s: float | None = None
    down_for_s: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        positive = {"up_kbit_s": self.up_kbit_s, "down_kbit_s": self.down_kbit_s}
        for what, value in positive.items():
            if not (value > 0 and math.isfinite(value)):
                raise InvalidInput(f"{what} of link {self.name} is {value}; above 0 expected")
        times = {
            "rtt_s": self.rtt_s,
            "jitter_s": self.jitter_s,
            "down_from_s": self.down_from_s or 0.0,
            "down_for_s": self.down_for_s,
        }
        for what, value in times.items():
            if not (value >= 0 and math.isfinite(value)):
                raise InvalidInput(f"{what} of link {self.name} is {value}; at least 0 expected")
        if not 0 <= self.loss < 1:
            raise InvalidInput(f"loss of link {self.name} is {self.loss}; 0 to below 1 expected")

    def is_down(self, at_s: float) -> bool:
        """Whether the link is down, so many seconds after it began."""
        start_s = self.down_from_s
        return start_s is not None and start_s <= at_s < start_s + self.down_for_s

    def with_outage(self, from_s: float, for_s: float) -> Link:
        """The same, cut for a while."""
        return replace(self, down_from_s=from_s, down_for_s=for_s)


LINKS = {
    link.name: link
    for link in (
        Link(
            "5g",
            20_000,
            50_000,
            0.025,
            0.005,
            source=(
                "Rizvi et al. 2025 (arXiv 2507.18834), a CDN's view of mobile clients: 60 % get "
                "less than 50 Mbit/s down, and 5 % regularly less than 20 ms; the rate up and the "
                "jitter are assumed"
            ),
        ),
        Link(
            "4g",
            3_000,
            4_000,
            0.06,
            0.015,
            source=(
                "rates: Regular 4G/LTE of the throttling profiles of Firefox's developer tools "
                "(4 Mbit/s down, 3 up); their 20 ms are a least latency, the round trip here and "
                "the jitter are assumed"
            ),
        ),
        Link(
            "lossy",
            750,
            1_600,
            0.15,
            0.03,
            loss=0.01,
            source=(
                "rates and round trip: Lighthouse's default throttling, about the slowest quarter "
                "of 4G connections (1.6 Mbit/s down, 0.75 up, 150 ms); the loss of 1 % and the "
                "jitter are assumed"
            ),
        ),
    )
}
"""The presets that are links by themselves; an outage is a hole in one of them."""

OUTAGE = "outage"
OUTAGE_S = 60.0


def link_named(name: str, seconds: float) -> Link:
    """A preset, for something that takes ``seconds``.

    ``outage`` is ``4g`` cut for 60 s in the middle, or for the middle third where that is shorter.

    Raises:
        InvalidInput: there is no such preset.
    """
    if name == OUTAGE:
        hole_s = min(OUTAGE_S, seconds / 3)
        cut = LINKS["4g"].with_outage((seconds - hole_s) / 2, hole_s)
        return replace(cut, name=OUTAGE, source=f"{cut.source}; cut for {hole_s:.0f} s")
    if name not in LINKS:
        raise InvalidInput(f"unknown link {name!r}; expected {', '.join([*LINKS, OUTAGE])}")
    return LINKS[name]
