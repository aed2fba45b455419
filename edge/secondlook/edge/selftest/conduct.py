"""The self-test of one camera at work: what a pipeline tells it, and what it makes of it.

`SiteTest` chooses; here its numbers are gathered. Of each frame that the coin chose, what the gate
would have asked is kept until the verdict on the whole frame is there. It then tells how well three
answers agree with the heavy model: the edge alone, and what stood, with what would have been asked
put right. What is sent is counted, what would be sent is tried out (`Probes`).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier import Carrier
from secondlook.edge.control.allowance import Allowance
from secondlook.edge.fusion import Entry
from secondlook.edge.gate.protocol import Way
from secondlook.edge.packing import Packer
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical
from secondlook.edge.selftest.agreement import Assess, agreement, edge_alone, put_right
from secondlook.edge.selftest.modes import Mode
from secondlook.edge.selftest.probes import Probes, wire_bytes
from secondlook.edge.selftest.site import SiteTest
from secondlook.edge.selftest.traffic import Traffic
from secondlook.edge.selftest.worth import ModeChange
from secondlook.shared.geometry import Boxes
from secondlook.shared.memory.kinds import SiteMode
from secondlook.shared.values import Detections, Escalation, Purpose

_MAX_LOOKS = 256
"""Most audits whose verdict is waited for."""
_WEIGH_EVERY_S = 5.0
"""How often costs are told and the way is decided, stream time, seconds."""
_REFUSED = 0.1
"""Share of whole frames that the budget may refuse before a full stream is given up."""

Image = npt.NDArray[np.uint8]


class SelfTest:
    """See the module. Not safe for concurrent use; no I/O.

    Args:
        settings: of the pipeline.
        interest: class names that count; ``None``: all.
        packer: packs what is asked; it is told which carrier to use.
        known: what stood before a restart.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        interest: frozenset[str] | None,
        packer: Packer,
        known: SiteMode | None,
    ) -> None:
        self._settings = settings
        self._interest = interest
        self._packer = packer
        self._site = SiteTest(settings.selftest, _possible(packer), known)
        self._probes = Probes(settings.selftest)
        self._looks: OrderedDict[int, Boxes] = OrderedDict()
        self._traffic, self._frames = Traffic(), Traffic()
        self._last_s: float | None = None
        self._weighed_s = -math.inf
        self._written_at = -math.inf
        self._news = False
        self._refused = 0.0
        self._budget = math.inf
        self._obeyed: Mode | None = None
        self._obey()

    @classmethod
    def of(
        cls,
        settings: PipelineSettings,
        interest: frozenset[str] | None,
        packer: Packer,
        known: SiteMode | None,
    ) -> SelfTest | None:
        """The self-test of a pipeline; ``None`` where the settings name its way of working."""
        wanted = settings.selftest.enabled and settings.regions.carrier == "auto"
        if not wanted or settings.trust.audit_rate <= 0:
            return None
        return cls(settings, interest, packer, known)

    @property
    def site(self) -> SiteTest:
        """What stands, and why."""
        return self._site

    @property
    def wants_frames(self) -> bool:
        """Whether `rehearse` has something to do."""
        return self._probes.wants_frames

    def way(self, demanded: float) -> Way:
        """How the gate is to decide.

        Args:
            demanded: loss from which candidates are asked about at any price; where that is
                finite the gate works whatever the test says.
        """
        if self._site.mode is Mode.FULL and not self._packer.stateless:
            return "full"
        return "edge" if self._site.mode is Mode.EDGE and math.isinf(demanded) else "gate"

    def answered(
        self, time_s: float, at_s: float, allowance: Allowance, *, whole_bytes: float
    ) -> None:
        """A frame is answered.

        Args:
            time_s: its stream time.
            at_s: wall clock of its capture.
            allowance: what may be spent.
            whole_bytes: what the whole frame would take.
        """
        passed_s = 0.0 if self._last_s is None else max(0.0, time_s - self._last_s)
        self._last_s = time_s
        self._traffic.passed(passed_s)
        self._frames.passed(passed_s)
        self._frames.sent(1)
        if self._site.mode is Mode.FULL:
            refused = not allowance.affords(whole_bytes)
            self._refused += 0.01 * (refused - self._refused)
        if time_s < self._weighed_s + _WEIGH_EVERY_S:
            return
        self._weighed_s = time_s
        self._weigh(at_s, allowance)

    def chosen(self, sequence: int, regions: Boxes) -> None:
        """The coin chose a frame; ``regions``: float32 (n, 4), what the gate would have asked."""
        self._looks[sequence] = regions
        while len(self._looks) > _MAX_LOOKS:
            self._looks.popitem(last=False)

    def judged(
        self,
        entry: Entry,
        heavy: Detections,
        assess: Assess,
        names: tuple[str, ...],
        at_s: float,
    ) -> None:
        """The verdict on an audit. Call it before the verdict changes anything.

        Args:
            entry: the frame.
            heavy: the heavy model's objects that count.
            assess: how likely boxes are right.
            names: class names known now.
            at_s: wall clock, seconds since the Unix epoch.
        """
        regions = self._looks.pop(entry.frame.sequence, None)
        if regions is None:
            return
        alone = edge_alone(entry, assess, names, self._settings.fusion)
        stood = put_right(entry.observation.detections, heavy, regions)
        self._site.audited(
            agreement(alone, heavy, self._interest), agreement(stood, heavy, self._interest), at_s
        )
        self._decide(at_s)

    def packed(self, escalation: Escalation, image: Image, time_s: float) -> None:
        """A question is packed.

        Args:
            escalation: the question.
            image: uint8 (height, width, 3), BGR, the frame; not kept.
            time_s: stream time of the frame.
        """
        if escalation.purpose is Purpose.AUDIT:
            return
        size = wire_bytes(escalation)
        if self._site.mode is Mode.FULL:
            self._traffic.sent(size)
            return
        if escalation.whole_frame:
            # A background, or a key frame: either carrier sends those.
            return
        self._traffic.sent(size)
        if self._probes.due(time_s):
            self._probes.begin(time_s, self._trial(Mode.FULL), self._trial(self._other()))
        frame = self._packer.canonical(escalation.frame_width, escalation.frame_height)
        self._probes.question(image, escalation.regions, frame, size, self._settings.gate.max_bytes)

    def rehearse(self, image: Image, frame: Canonical) -> None:
        """Try out a whole frame, where that is wanted; ``image``: uint8 (h, w, 3), BGR, lent."""
        self._probes.frame(image, frame, self._settings.gate.max_bytes)

    def alarm(self, reasons: tuple[str, ...], at_s: float) -> None:
        """The trust monitor has raised an alarm."""
        self._site.alarm("; ".join(("trust alarm", *reasons[:1])), at_s)
        self._decide(at_s)

    def take_changes(self) -> list[ModeChange]:
        """Changes of the way since the last call."""
        return self._site.take_changes()

    def take_record(self, at_s: float, *, last: bool = False) -> SiteMode | None:
        """What is to be written down: after a change, now and then, and at the end.

        Args:
            at_s: wall clock, seconds since the Unix epoch.
            last: the pipeline ends.
        """
        due = at_s >= self._written_at + self._settings.selftest.write_every_s
        if not (self._news or ((due or last) and self._site.audits)):
            return None
        self._news, self._written_at = False, at_s
        return self._site.snapshot(at_s)

    def _weigh(self, at_s: float, allowance: Allowance) -> None:
        """Tell what each way sends, and decide."""
        site, rate = self._site, self._traffic.per_s
        mode = site.mode
        if mode is Mode.FULL:
            if rate is not None:
                site.cost(mode, rate)
            if self._refused > _REFUSED and rate is not None:
                # What was really sent is what the budget gives.
                self._budget = rate
                site.cost(mode, rate / (1.0 - min(self._refused, 0.99)))
        elif mode.gated and rate is not None:
            # What the gate holds back because bytes have a price, a full stream would not get.
            self._budget = rate if allowance.byte_price > 0 else math.inf
            site.cost(mode, rate)
            ratio, fps = self._probes.ratio, self._frames.per_s
            other = self._other()
            if other is not None and ratio is not None:
                site.cost(other, ratio * rate)
            if self._probes.whole_bytes is not None and fps is not None:
                site.cost(Mode.FULL, self._probes.whole_bytes * fps)
        self._decide(at_s)

    def _decide(self, at_s: float) -> None:
        self._site.decide(at_s, self._budget)
        self._obey()

    def _obey(self) -> None:
        """Let the packer know, and begin to count anew where the way has changed."""
        mode = self._site.mode
        if mode.gated:
            self._packer.mosaics = mode is Mode.MOSAIC
        elif mode is Mode.FULL:
            self._packer.mosaics = False
        if mode is not self._obeyed:
            self._obeyed = mode
            self._news = self._site.changes > 0
            self._traffic, self._refused = Traffic(), 0.0
            self._probes.forget()

    def _other(self) -> Mode | None:
        """The carrier that is not in force; ``None`` without one."""
        if not self._packer.canvases:
            return None
        return Mode.CANVAS if self._site.mode is Mode.MOSAIC else Mode.MOSAIC

    def _trial(self, mode: Mode | None) -> Carrier | None:
        """An encoder of its own, to try out a way."""
        if mode is None or not self._packer.canvases:
            return None
        return self._packer.trial("mosaic" if mode is Mode.MOSAIC else "canvas")


def _possible(packer: Packer) -> tuple[Mode, ...]:
    if packer.canvases:
        return tuple(Mode)
    return (Mode.EDGE, Mode.MOSAIC)
