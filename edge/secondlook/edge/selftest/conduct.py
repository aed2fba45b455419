"""The self-test of one camera at work: what a pipeline tells it, and what it makes of it.

`SiteTest` chooses; here its numbers are gathered. Of each frame that the coin chose, what the gate
would have asked is kept until the verdict on the whole frame is there. It then tells how well three
answers agree with the heavy model: the edge alone, and what stood, with what would have been asked
put right. `Costs` counts what is sent and tries out what would be, and some audits are looked at
twice, to know how well a full stream agrees (`Twice`).
"""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier import Carried
from secondlook.edge.control.allowance import Allowance
from secondlook.edge.fusion import Entry
from secondlook.edge.gate.protocol import Way
from secondlook.edge.packing import Packer
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical
from secondlook.edge.selftest.agreement import Assess, agreement, edge_alone, put_right
from secondlook.edge.selftest.costs import Costs
from secondlook.edge.selftest.modes import Mode
from secondlook.edge.selftest.probes import wire_bytes
from secondlook.edge.selftest.site import SiteTest
from secondlook.edge.selftest.twice import Agreements, Twice
from secondlook.edge.selftest.worth import ModeChange
from secondlook.shared.errors import InvalidInput
from secondlook.shared.geometry import Boxes
from secondlook.shared.memory.kinds import SiteMode
from secondlook.shared.values import Detections, Escalation, FrameRef, Purpose

_MAX_LOOKS = 256
"""Most audits whose verdict is waited for."""
_WEIGH_EVERY_S = 5.0
"""How often costs are told and the way is decided, stream time, seconds."""

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
        self._costs = Costs(settings, packer)
        self._twice = Twice(settings.selftest.probe_share, interest)
        self._looks: OrderedDict[int, Boxes] = OrderedDict()
        self._fresh: Escalation | None = None
        self._weighed_s = -math.inf
        self._written_at = -math.inf
        self._news = False
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
        """Whether `rehearse` or `again` has something to do with the frame answered last."""
        return self._costs.wants_frames or self._fresh is not None

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
        self._costs.answered(self._site.mode, time_s, allowance, whole_bytes)
        if time_s < self._weighed_s + _WEIGH_EVERY_S:
            return
        self._weighed_s = time_s
        self._costs.tell(self._site, allowance)
        self._decide(at_s)

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
        answer = entry.observation.detections
        stood = put_right(answer, heavy, regions)
        self._site.audited(
            agreement(alone, heavy, self._interest), agreement(stood, heavy, self._interest), at_s
        )
        self._compared(
            self._twice.audited(entry.frame.sequence, alone, answer, regions, heavy), at_s
        )

    def frame_of(self, request_id: str) -> FrameRef | None:
        """The frame of a second question that waits for its verdict; ``None``: it is none."""
        return self._twice.frame_of(request_id)

    def judged_again(self, request_id: str, heavy: Detections, at_s: float) -> None:
        """The verdict on a second question; see `judged`."""
        self._compared(self._twice.again(request_id, heavy), at_s)

    def gone(self, request_id: str) -> None:
        """A question gets no verdict."""
        self._twice.gone(request_id)

    def packed(self, escalation: Escalation, image: Image, time_s: float) -> None:
        """A question is packed.

        Args:
            escalation: the question.
            image: uint8 (height, width, 3), BGR, the frame; not kept.
            time_s: stream time of the frame.
        """
        size = wire_bytes(escalation)
        self._twice.earned(size)
        if escalation.purpose is Purpose.AUDIT:
            self._fresh = escalation if self._wants_twice(escalation) else None
        self._costs.asked(self._site.mode, escalation, image, time_s)

    def rehearse(self, image: Image, frame: Canonical) -> None:
        """Try out a whole frame, where that is wanted; ``image``: uint8 (h, w, 3), BGR, lent."""
        self._costs.rehearse(image, frame)

    def again(self, image: Image, frame: FrameRef, request_id: str) -> Carried | None:
        """An audit by the other carrier, where it is to be looked at twice.

        Args:
            image: uint8 (height, width, 3), BGR, the frame answered last; not kept.
            frame: which.
            request_id: under which it is asked a second time.

        Returns:
            The whole frame, to be sent; ``None``: it goes no second time.
        """
        audit, self._fresh = self._fresh, None
        if audit is None or audit.sequence != frame.sequence:
            return None
        packer, by_canvas = self._packer, audit.canvas is not None
        regions = (packer.canonical(frame.width, frame.height).whole("audit, looked at twice"),)
        mosaics, packer.mosaics = packer.mosaics, False
        try:
            carried = packer.encode(image, regions, frame, alone=by_canvas)
        except InvalidInput:
            return None
        finally:
            packer.mosaics = mosaics
        if carried.canvas is not None and carried.canvas.key:
            # A full stream has one of these in a long while. The next second look builds on it.
            self._twice.paid(wire_bytes(carried))
        else:
            self._twice.asked(request_id, frame, wire_bytes(carried), by_canvas=by_canvas)
        return carried

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

    def _wants_twice(self, audit: Escalation) -> bool:
        """Whether an audit is to be looked at twice: it matters, can be done, and is paid for."""
        packer = self._packer
        usable = packer.canvases and not packer.stateless and audit.sequence in self._looks
        if not usable or (audit.canvas is not None and audit.canvas.key):
            return False
        size = packer.canonical(audit.frame_width, audit.frame_height)
        return self._site.wants_twice(self._costs.budget) and self._twice.affords(
            size.width * size.height
        )

    def _compared(self, found: Agreements | None, at_s: float) -> None:
        """An audit is scored, and perhaps what both looks at it show."""
        if found is not None:
            self._site.looked_twice(found.edge, found.gated, found.full)
        self._decide(at_s)

    def _decide(self, at_s: float) -> None:
        self._site.decide(at_s, self._costs.budget)
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
            self._costs.begin()


def _possible(packer: Packer) -> tuple[Mode, ...]:
    if packer.canvases:
        return tuple(Mode)
    return (Mode.EDGE, Mode.MOSAIC)
