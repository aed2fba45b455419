"""Chooses, for one camera, among the edge alone, mosaics, a canvas and a full stream. Pure.

**What is compared.** Agreement is the F1 score of one frame against the heavy model's boxes of the
whole frame, 1 where neither sees anything; a way's agreement is the mean over frames. An audit is
a frame that a coin chose, so its numbers are a fair sample, and it shows at once

- ``e``, the agreement of the edge alone: its answer as if no verdict had ever come;
- ``g``, the agreement of what stood with the gate at work (only while the gate is in force). Both
  carriers take the same questions to the same model: it is the same for both.

Some audits are looked at twice (`secondlook.edge.selftest.twice`): as a full stream would show
them, and as a still of good quality. Against the still they tell

- ``f``, the agreement of whole frames; and ``e`` and ``g`` once more, of the same frames.

A way is worth ``gain - price x KB a second``: gain is its agreement less ``e``, its bytes are
measured or tried out, audits apart, which all ways have. The edge alone is worth 0. A full stream
is weighed from the tenth such audit on. While even perfect whole frames would not be worth their
bytes no audit is looked at twice: there is nothing to find out.

**What is certain.** Gains are paired: both answers are about the same frame. Bounds of ``g - e``,
``f - e`` and ``f - g`` come from bounds of what was gained and what was lost
(`secondlook.edge.selftest.bounds`). They hold at all looks together: the ``k``-th look spends
``6 delta / (pi k)^2``, and looks lie 10 % of the audits apart.

**When the way changes.** Not before ``min_audits``. Then to the way of the best estimated worth,
where that is better by ``margin`` and the bounds prove it worse by at most ``tolerance``; at once
where the upper bound of what the present way is worth is below 0, that of the edge alone. So no way
stays whose worth is certainly below that of the simplest. Between the two carriers nothing but
bytes counts: ``cheaper`` is the share that must be saved.

**When it is tested again.** A way without the gate shows nothing of what the gate could do. So an
alarm of the trust monitor, agreement that has certainly changed from the audits before to the last
``drift_audits``, a full stream that the budget no longer carries, and ``retest_s`` each put the
gate to work again, and audits are gathered anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from secondlook.edge.selftest.bounds import Mean
from secondlook.edge.selftest.evidence import Evidence, Gap
from secondlook.edge.selftest.modes import Mode
from secondlook.edge.selftest.round import Round
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.edge.selftest.weighing import LEAST_FULL, Scales
from secondlook.edge.selftest.worth import ModeChange, Worth, describe, rate, why_left
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import SiteMode

_MOST_CHANGES = 100


class SiteTest:
    """See the module. Not safe for concurrent use; no clock, no I/O.

    Args:
        settings: of the self-test.
        modes: the ways that this machine and its cloud can go; the edge alone and one of the two
            carriers at least.
        known: what stood before a restart.
    """

    def __init__(
        self, settings: SelftestSettings, modes: Iterable[Mode], known: SiteMode | None = None
    ) -> None:
        self._settings = settings
        self._modes = tuple(mode for mode in Mode if mode in set(modes))
        self._carriers = tuple(mode for mode in self._modes if mode.gated)
        if Mode.EDGE not in self._modes or not self._carriers:
            raise InvalidInput("a self-test needs the edge alone and a carrier to choose from")
        self._round = Round()
        self._bytes_per_s: dict[Mode, float] = {}
        self._changes: list[ModeChange] = []
        self.mode = self._carriers[-1]
        self.settled = False
        self.reasons: tuple[str, ...] = ("no audits yet: the gate decides",)
        self.since_s = 0.0
        self.changes = 0
        if known is not None:
            self._recall(known)

    @property
    def audits(self) -> int:
        """Audits of this round."""
        return self._round.audits

    @property
    def bytes_per_s(self) -> Mapping[Mode, float]:
        """What each way sends, as far as is known."""
        return {Mode.EDGE: 0.0, **self._bytes_per_s}

    def take_changes(self) -> list[ModeChange]:
        """The changes since the last call, oldest first."""
        changes, self._changes = self._changes, []
        return changes

    def cost(self, mode: Mode, bytes_per_s: float) -> None:
        """What a way sends, audits apart, as measured or tried out.

        Raises:
            InvalidInput: that is no number from 0 on.
        """
        if not (math.isfinite(bytes_per_s) and bytes_per_s >= 0):
            raise InvalidInput(f"{mode.value} sends {bytes_per_s} bytes a second?")
        if mode is not Mode.EDGE:
            self._bytes_per_s[mode] = bytes_per_s

    def audited(self, edge: float, gated: float, at_s: float) -> None:
        """An audit is in.

        Args:
            edge: agreement of the edge alone, 0 to 1.
            gated: agreement of what stood; it counts where the gate is in force.
            at_s: wall clock, seconds since the Unix epoch.

        Raises:
            InvalidInput: an agreement is not from 0 to 1.
        """
        if not (0 <= edge <= 1 and 0 <= gated <= 1):
            raise InvalidInput(f"agreements are {edge} and {gated}; from 0 to 1 expected")
        found = self._round
        found.recent.add(edge, gated if self.mode.gated else None)
        if found.recent.edge.count < self._settings.drift_audits:
            return
        block, changed = found.take_block(self._settings.delta)
        if changed:
            self._test_again(changed, at_s)
        self._round.past.join(block)

    def looked_twice(self, edge: float, gated: float, full: float) -> None:
        """An audit that was looked at twice is in, beside `audited`; only while the gate works.

        Args:
            edge: agreement of the edge alone with the still, 0 to 1.
            gated: agreement of what stood.
            full: agreement of the frame as a full stream shows it.

        Raises:
            InvalidInput: an agreement is not from 0 to 1.
        """
        if not (0 <= edge <= 1 and 0 <= gated <= 1 and 0 <= full <= 1):
            raise InvalidInput(f"agreements are {edge}, {gated} and {full}; from 0 to 1 expected")
        if self.mode.gated:
            self._round.recent.add_full(edge, gated, full)

    def wants_twice(self, budget_bytes_per_s: float = math.inf) -> bool:
        """Whether it matters how well whole frames agree: whether they may be worth their bytes."""
        return self._scales(budget_bytes_per_s).wants_twice(self.mode)

    def alarm(self, reason: str, at_s: float) -> None:
        """The trust monitor has raised an alarm: the scene is no longer what it was."""
        self._test_again(reason, at_s)

    def decide(self, at_s: float, budget_bytes_per_s: float = math.inf) -> Mode:
        """The way from now on; to be asked after audits and after costs have changed.

        Args:
            at_s: wall clock, seconds since the Unix epoch.
            budget_bytes_per_s: what may be sent.
        """
        settings = self._settings
        if not self.mode.gated:
            spent = self._bytes_per_s.get(self.mode, 0.0)
            if spent > budget_bytes_per_s:
                self._test_again(
                    f"a full stream takes {rate(spent)}, the budget is {rate(budget_bytes_per_s)}",
                    at_s,
                )
            elif at_s - self.since_s >= settings.retest_s:
                self._test_again(f"it is {settings.retest_s / 3600:g} h old", at_s)
            return self.mode
        self._take_cheaper_carrier(at_s)
        evidence = self._round.all()
        if evidence.pairs < settings.min_audits:
            if not self.settled:
                self.reasons = (
                    f"{evidence.pairs} of the first {settings.min_audits} audits: the gate decides",
                )
            return self.mode
        if self.mode not in self._bytes_per_s:
            self.reasons = ("what the gate sends is not known yet: it is watched for 30 s",)
        elif evidence.pairs >= self._round.next_look:
            self._look(evidence, at_s, budget_bytes_per_s)
        if evidence.pairs >= settings.max_audits:
            self._begin()
        return self.mode

    def worths(self, delta: float, budget_bytes_per_s: float = math.inf) -> dict[Mode, Worth]:
        """What each way is worth; see `Scales.worths`."""
        return self._scales(budget_bytes_per_s).worths(delta)

    def snapshot(self, at_s: float) -> SiteMode:
        """What stands, to be written down."""
        evidence = self._round.all()
        return SiteMode(
            at_s=at_s,
            mode=self.mode.value,
            settled=self.settled,
            reasons=tuple(reason[:500] for reason in self.reasons[:8]),
            since_s=min(self.since_s, at_s),
            changes=self.changes,
            looks=self._round.looks,
            edge=evidence.edge.tally(),
            gated=evidence.gated.tally(),
            gained=evidence.gate.gained.tally(),
            lost=evidence.gate.lost.tally(),
            full=evidence.full.tally(),
            full_edge=evidence.full_edge.pair(),
            full_gate=evidence.full_gate.pair(),
            bytes_per_s={mode.value: sent for mode, sent in self._bytes_per_s.items()},
        )

    def _look(self, evidence: Evidence, at_s: float, budget_bytes_per_s: float) -> None:
        """Decide, spending a part of delta."""
        settings = self._settings
        scales = self._scales(budget_bytes_per_s)
        delta = self._round.look(evidence.pairs, settings.delta)
        worths = scales.worths(delta)
        present = worths[self.mode]
        # The other carrier is compared by its bytes alone, elsewhere.
        rest = {
            mode: scales.over_gate(mode, worth, present, delta / 3)
            for mode, worth in worths.items()
            if not mode.gated
        }
        best = max(rest, key=lambda mode: (rest[mode].value, mode is Mode.EDGE))
        better = rest[best].value
        said = [describe(mode, worth) for mode, worth in worths.items() if mode is not Mode.EDGE]
        unknown = Mode.FULL not in worths and scales.wants_twice(self.mode)
        if unknown:
            said.append(f"full: {evidence.full.count} of {LEAST_FULL} audits were looked at twice")
        audits = f"{evidence.pairs} audits; the edge alone agrees by {evidence.edge.value:.3f}"
        proved = better >= settings.margin and rest[best].low >= -settings.tolerance
        if present.value.high < 0 or proved:
            self._change(best, at_s, (why_left(best, better), *said, audits))
            self.settled = True
            return
        self.settled = not unknown and all(
            over.high <= settings.tolerance for over in rest.values()
        )
        way = "the gate is worth its bytes" if self.settled else "audits cannot tell yet"
        self.reasons = (way, *said, audits)

    def _scales(self, budget_bytes_per_s: float) -> Scales:
        evidence, sent = self._round.all(), self.bytes_per_s
        return Scales(self._settings, self._modes, evidence, sent, budget_bytes_per_s)

    def _take_cheaper_carrier(self, at_s: float) -> None:
        sent, cheapest = self._bytes_per_s.get(self.mode), self._cheapest_carrier()
        if sent is None or cheapest is None or cheapest is self.mode:
            return
        least = self._bytes_per_s[cheapest]
        if least > (1.0 - self._settings.cheaper) * sent:
            return
        said = f"{cheapest.value} takes {rate(least)} where {self.mode.value} takes {rate(sent)}"
        self._change(cheapest, at_s, (said, *self.reasons[-1:]))

    def _cheapest_carrier(self) -> Mode | None:
        """Of those whose bytes are known."""
        known = [mode for mode in self._carriers if mode in self._bytes_per_s]
        return min(known, key=lambda mode: self._bytes_per_s[mode], default=None)

    def _test_again(self, reason: str, at_s: float) -> None:
        self._begin()
        self.settled = False
        trial = self.mode
        if not trial.gated:
            trial = self._cheapest_carrier() or self._carriers[-1]
        self._change(trial, at_s, (reason, "the gate is put to the test again"))

    def _begin(self) -> None:
        """Gather audits anew."""
        self._round = Round()

    def _change(self, mode: Mode, at_s: float, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        if mode is self.mode:
            return
        change = ModeChange(at_s, self.mode, mode, reasons)
        self._changes = [*self._changes[1 - _MOST_CHANGES :], change]
        if mode.gated is not self.mode.gated:
            # What was said with the gate is not comparable with what is said without it.
            kept = self._round.all().edge
            self._round = Round(past=Evidence(edge=kept))
        self.mode = mode
        self.since_s = at_s
        self.changes += 1

    def _recall(self, known: SiteMode) -> None:
        mode = Mode(known.mode)
        for name, sent in known.bytes_per_s.items():
            self._bytes_per_s[Mode(name)] = sent
        self.changes = known.changes
        if mode not in self._modes:
            self.reasons = (f"{mode.value} is no longer possible here", "the gate decides")
            return
        self.mode, self.settled, self.reasons = mode, known.settled, known.reasons
        self.since_s = known.since_s
        past = Evidence(
            Mean.of(known.edge),
            Mean.of(known.gated),
            Gap(Mean.of(known.gained), Mean.of(known.lost)),
            Mean.of(known.full),
            Gap.of(known.full_edge),
            Gap.of(known.full_gate),
        )
        self._round = Round.recalled(past, known.looks)
