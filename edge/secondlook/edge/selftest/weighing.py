"""What each way of working is worth, given the audits so far and what each sends. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from secondlook.edge.selftest.bounds import Range
from secondlook.edge.selftest.evidence import Evidence
from secondlook.edge.selftest.modes import Mode
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.edge.selftest.worth import Worth, shifted

LEAST_FULL = 10
"""Fewest audits that were looked at twice before a full stream is weighed."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What is weighed.

    Attributes:
        settings: of the self-test.
        modes: the ways that are possible.
        evidence: the audits of this round.
        bytes_per_s: what each way sends, audits apart, as far as is known.
        budget_bytes_per_s: what may be sent.
    """

    settings: SelftestSettings
    modes: tuple[Mode, ...]
    evidence: Evidence
    bytes_per_s: Mapping[Mode, float]
    budget_bytes_per_s: float = math.inf

    def worths(self, delta: float) -> dict[Mode, Worth]:
        """What each way is worth of which enough is known, and whose bytes are within the budget.

        Args:
            delta: probability with which any of the bounds may be wrong.
        """
        evidence, share = self.evidence, delta / 3
        gains = {Mode.EDGE: Range(0.0, 0.0, 0.0)}
        gains |= {mode: evidence.gate.mean(share) for mode in self.modes if mode.gated}
        if evidence.full.count >= LEAST_FULL:
            gains[Mode.FULL] = evidence.full_edge.mean(share)
        out = {}
        for mode in self.modes:
            sent = self.bytes_per_s.get(mode)
            # The gate keeps to the budget by itself; what it gained was gained within it.
            over = mode is Mode.FULL and sent is not None and sent > self.budget_bytes_per_s
            if sent is not None and mode in gains and not over:
                out[mode] = Worth(gains[mode], sent, shifted(gains[mode], -self.paid(sent)))
        return out

    def over_gate(self, mode: Mode, worth: Worth, present: Worth, delta: float) -> Range:
        """By how much a way without the gate is worth more than the present one, which has it."""
        paid = self.paid(worth.bytes_per_s) - self.paid(present.bytes_per_s)
        if mode is Mode.FULL:
            gain = self.evidence.full_gate.mean(delta)
        else:
            gate = present.gain
            gain = Range(-gate.high, -gate.value, -gate.low)
        return shifted(gain, -paid)

    def wants_twice(self, present: Mode) -> bool:
        """Whether it matters how well whole frames agree: whether they may be worth their bytes.

        Args:
            present: the way in force.
        """
        sent, mine = self.bytes_per_s.get(Mode.FULL), self.bytes_per_s.get(present)
        possible = present.gated and Mode.FULL in self.modes
        if not possible or sent is None or mine is None or sent > self.budget_bytes_per_s:
            return False
        evidence, delta = self.evidence, self.settings.delta
        most = min(1.0 - evidence.gated.lower(delta), evidence.full_gate.mean(delta).high)
        return most - (self.paid(sent) - self.paid(mine)) >= self.settings.margin

    def paid(self, bytes_per_s: float) -> float:
        """The price of bytes, in agreement."""
        return self.settings.price * bytes_per_s / 1000.0
