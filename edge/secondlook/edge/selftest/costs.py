"""What each way of working sends: counted for the one in force, tried out for the others."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier import Carrier
from secondlook.edge.control.allowance import Allowance
from secondlook.edge.packing import Packer
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical
from secondlook.edge.selftest.modes import Mode
from secondlook.edge.selftest.probes import Probes, wire_bytes
from secondlook.edge.selftest.site import SiteTest
from secondlook.edge.selftest.traffic import Traffic
from secondlook.shared.values import Escalation, Purpose

_REFUSED = 0.1
"""Share of whole frames that the budget may refuse before a full stream is given up."""

Image = npt.NDArray[np.uint8]


class Costs:
    """Of one camera. Not safe for concurrent use; no I/O.

    Args:
        settings: of the pipeline.
        packer: packs what is asked, and gives encoders to try out other ways with.

    Attributes:
        budget: what may be sent, bytes a second; infinite while nothing shows that it is limited.
    """

    def __init__(self, settings: PipelineSettings, packer: Packer) -> None:
        self._most = settings.gate.max_bytes
        self._packer = packer
        self._probes = Probes(settings.selftest)
        self._traffic, self._frames = Traffic(), Traffic()
        self._last_s: float | None = None
        self._refused = 0.0
        self.budget = math.inf

    @property
    def wants_frames(self) -> bool:
        """Whether `rehearse` has something to do."""
        return self._probes.wants_frames

    def begin(self) -> None:
        """Another way is in force: what is sent is counted anew."""
        self._traffic, self._refused = Traffic(), 0.0
        self._probes.forget()

    def answered(self, mode: Mode, time_s: float, allowance: Allowance, whole_bytes: float) -> None:
        """A frame is answered.

        Args:
            mode: the way in force.
            time_s: stream time of the frame.
            allowance: what may be spent.
            whole_bytes: what the whole frame would take.
        """
        passed_s = 0.0 if self._last_s is None else max(0.0, time_s - self._last_s)
        self._last_s = time_s
        self._traffic.passed(passed_s)
        self._frames.passed(passed_s)
        self._frames.sent(1)
        if mode is Mode.FULL:
            refused = not allowance.affords(whole_bytes)
            self._refused += 0.01 * (refused - self._refused)

    def asked(self, mode: Mode, escalation: Escalation, image: Image, time_s: float) -> None:
        """A question is packed.

        Args:
            mode: the way in force.
            escalation: the question.
            image: uint8 (height, width, 3), BGR, the frame; not kept.
            time_s: stream time of the frame.
        """
        size = wire_bytes(escalation)
        audit = escalation.purpose is Purpose.AUDIT
        if mode is Mode.FULL:
            self._traffic.sent(0 if audit else size)
            return
        # Also on an audit: where the gate asks nothing a full stream may be what is needed.
        if mode.gated and self._probes.due(time_s):
            self._probes.begin(time_s, self._trial(Mode.FULL), self._trial(self._other(mode)))
        if audit or (escalation.canvas is not None and escalation.canvas.key):
            # A key frame is sent once in a long while, by a full stream too.
            return
        self._traffic.sent(size)
        frame = self._packer.canonical(escalation.frame_width, escalation.frame_height)
        self._probes.question(image, escalation.regions, frame, size, self._most)

    def rehearse(self, image: Image, frame: Canonical) -> None:
        """Try out a whole frame, where that is wanted; ``image``: uint8 (h, w, 3), BGR, lent."""
        self._probes.frame(image, frame, self._most)

    def tell(self, site: SiteTest, allowance: Allowance) -> None:
        """Tell a self-test what each way sends, as far as is known."""
        mode, rate = site.mode, self._traffic.per_s
        if rate is None:
            return
        if mode is Mode.FULL:
            site.cost(mode, rate)
            if self._refused > _REFUSED:
                # What was really sent is what the budget gives.
                self.budget = rate
                site.cost(mode, rate / (1.0 - min(self._refused, 0.99)))
        elif mode.gated:
            # What the gate holds back because bytes have a price, a full stream would not get.
            self.budget = rate if allowance.byte_price > 0 else math.inf
            site.cost(mode, rate)
            ratio, fps = self._probes.ratio, self._frames.per_s
            other = self._other(mode)
            if other is not None and ratio is not None:
                site.cost(other, ratio * rate)
            if self._probes.whole_bytes is not None and fps is not None:
                site.cost(Mode.FULL, self._probes.whole_bytes * fps)

    def _other(self, mode: Mode) -> Mode | None:
        """The carrier that is not in force; ``None`` without one."""
        if not self._packer.canvases:
            return None
        return Mode.CANVAS if mode is Mode.MOSAIC else Mode.MOSAIC

    def _trial(self, mode: Mode | None) -> Carrier | None:
        """An encoder of its own, to try out a way."""
        if mode is None or not self._packer.canvases:
            return None
        return self._packer.trial("mosaic" if mode is Mode.MOSAIC else "canvas")
