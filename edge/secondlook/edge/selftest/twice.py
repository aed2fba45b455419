"""Audits that are looked at twice: how well whole frames agree that travel as a full stream.

An audit travels as the gate's questions do. Some audits go a second time, by the other carrier, so
that the heavy model sees the very same frame

- as an update of a canvas: just so a full stream would show it;
- as a still of good quality: the standard that answers are held against.

Both are real questions and cost real bytes. So they are saved up for: what is sent anyway earns a
share of itself, and an audit goes twice once that pays for it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from secondlook.edge.selftest.agreement import agreement, put_right
from secondlook.shared.geometry import Boxes
from secondlook.shared.values import Detections, FrameRef

_MOST_OPEN = 32
"""Most that wait for a verdict; the oldest beyond that comes to nothing."""
_BYTES_A_PIXEL = 0.12
"""What a whole frame takes, where none was sent a second time yet."""


@dataclass(slots=True)
class _Open:
    """One that waits for its verdicts.

    Attributes:
        request_id: of the second question.
        frame: which.
        by_canvas: whether the audit itself went as an update of a canvas.
        audit: what the heavy model sees in the audit; ``None`` while that is awaited.
        again: the same of the second question.
        alone: what the edge alone would have answered; with ``audit``.
        stood: what stood before any verdict on the frame; with ``audit``.
        regions: float32 (n, 4), what the gate would have asked; with ``audit``.
    """

    request_id: str
    frame: FrameRef
    by_canvas: bool
    audit: Detections | None = None
    again: Detections | None = None
    alone: Detections | None = None
    stood: Detections | None = None
    regions: Boxes | None = None


@dataclass(frozen=True, slots=True)
class Agreements:
    """What an audit that was looked at twice shows, all of it held against the still; 0 to 1.

    Attributes:
        edge: the edge alone.
        gated: what stood, with what the gate would have asked put right.
        full: the frame of a full stream.
    """

    edge: float
    gated: float
    full: float


class Twice:
    """See the module. Not safe for concurrent use; no I/O.

    Args:
        share: of what is sent anyway, that second questions may take.
        interest: class names that count; ``None``: all.
    """

    def __init__(self, share: float, interest: frozenset[str] | None) -> None:
        self._share = share
        self._interest = interest
        self._saved = 0.0
        self._size: float | None = None
        self._open: OrderedDict[int, _Open] = OrderedDict()

    def earned(self, size_bytes: float) -> None:
        """Something was sent anyway."""
        self._saved += self._share * size_bytes

    def affords(self, pixels: int) -> bool:
        """Whether a whole frame of so many pixels can be paid for."""
        size = pixels * _BYTES_A_PIXEL if self._size is None else self._size
        return 0 < size <= self._saved

    def asked(
        self, request_id: str, frame: FrameRef, size_bytes: float, *, by_canvas: bool
    ) -> None:
        """The second question about an audit is on its way.

        Args:
            request_id: its own.
            frame: which.
            size_bytes: what it takes on the wire.
            by_canvas: whether the audit itself, not this one, is an update of a canvas.
        """
        self.paid(size_bytes)
        self._open[frame.sequence] = _Open(request_id, frame, by_canvas)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)

    def paid(self, size_bytes: float) -> None:
        """A second question was sent."""
        # At most one more is saved up for: quiet hours must not pay for a flood.
        self._saved = min(self._saved - size_bytes, size_bytes)
        self._size = size_bytes

    def frame_of(self, request_id: str) -> FrameRef | None:
        """The frame of a second question that waits for its verdict; ``None``: it is none."""
        found = self._find(request_id)
        return None if found is None else found.frame

    def gone(self, request_id: str) -> None:
        """A second question gets no verdict."""
        found = self._find(request_id)
        if found is not None:
            del self._open[found.frame.sequence]

    def audited(
        self, sequence: int, alone: Detections, stood: Detections, regions: Boxes, heavy: Detections
    ) -> Agreements | None:
        """The verdict on the audit itself.

        Args:
            sequence: of the frame.
            alone: what the edge alone would have answered.
            stood: what stood.
            regions: float32 (n, 4), what the gate would have asked.
            heavy: what the heavy model sees.

        Returns:
            What both looks show, once both are there.
        """
        found = self._open.get(sequence)
        if found is None:
            return None
        found.alone, found.stood, found.regions, found.audit = alone, stood, regions, heavy
        return self._settled(found)

    def again(self, request_id: str, heavy: Detections) -> Agreements | None:
        """The verdict on a second question; see `audited`."""
        found = self._find(request_id)
        if found is None:
            return None
        found.again = heavy
        return self._settled(found)

    def _find(self, request_id: str) -> _Open | None:
        return next((one for one in self._open.values() if one.request_id == request_id), None)

    def _settled(self, found: _Open) -> Agreements | None:
        audit, again, alone, stood = found.audit, found.again, found.alone, found.stood
        if audit is None or again is None or alone is None or stood is None:
            return None
        assert found.regions is not None
        del self._open[found.frame.sequence]
        video, still = (audit, again) if found.by_canvas else (again, audit)
        # The gate's questions travel as the audit did.
        gated = put_right(stood, audit, found.regions)
        return Agreements(
            agreement(alone, still, self._interest),
            agreement(gated, still, self._interest),
            agreement(video, still, self._interest),
        )
