"""Packs what is asked of one camera: by its carrier, or so that it means something alone."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from secondlook.edge.carrier import (
    CanvasEncoder,
    Carried,
    Carrier,
    MosaicCarrier,
    make_carrier,
)
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical, regions_alone
from secondlook.shared.errors import InvalidInput, SecondlookError, Unavailable
from secondlook.shared.geometry import Boxes, area
from secondlook.shared.values import Escalation, FrameRef, Purpose, Region

_MAX_HELD = 4
"""Most pictures of audits that are held until their verdict."""

_SIZE_WEIGHT = 0.05
"""What one frame counts for the typical size of objects."""

Image = npt.NDArray[np.uint8]


class Packer:
    """See the module. Not safe for concurrent use.

    Args:
        settings: of the pipeline.
        carrier: how regions travel; stateless mosaics where not given.

    Attributes:
        stateless: nothing but mosaics for now: the other end takes no canvases.
        mosaics: nothing but mosaics because they pay.
    """

    def __init__(self, settings: PipelineSettings, carrier: Carrier | None) -> None:
        self._settings = settings
        self.stateless = self.mosaics = False
        self._alone = MosaicCarrier(settings.regions)
        self._given = carrier or self._alone
        self._log_side: float | None = None
        self._held: OrderedDict[str, Image] = OrderedDict()

    @property
    def _carrier(self) -> Carrier:
        return self._alone if self.stateless or self.mosaics else self._given

    @property
    def canvases(self) -> bool:
        """Whether there is a canvas to choose."""
        return isinstance(self._given, CanvasEncoder)

    def trial(self, kind: str) -> Carrier:
        """A carrier of its own, as the present one is set: nothing it encodes is sent.

        Args:
            kind: ``canvas`` or ``mosaic``.

        Raises:
            MissingDependency: a canvas is wanted, and cannot be encoded here.
        """
        carrier = make_carrier(self._settings, kind)
        if self._log_side is not None:
            carrier.aim(math.exp(self._log_side))
        return carrier

    def canonical(self, width: int, height: int) -> Canonical:
        """A frame of that size, and the size at which it is sent."""
        return Canonical.of(width, height, self._settings.regions.canonical_width_px)

    def see(self, boxes: Boxes, frame: Canonical) -> None:
        """Take note of the objects of a frame: quality follows their size.

        Args:
            boxes: float32 (n, 4), pixels of the native frame.
            frame: the frame.
        """
        if not len(boxes):
            return
        scale = math.sqrt(frame.width * frame.height / (frame.native_width * frame.native_height))
        sides = np.sqrt(np.maximum(area(boxes), 1.0)) * scale
        sides.sort()
        now = math.log(float(sides[len(sides) // 2]))
        before = self._log_side
        self._log_side = now if before is None else before + _SIZE_WEIGHT * (now - before)

    def estimate(self, regions: tuple[Region, ...], frame: Canonical) -> int:
        """What it would take to send regions now, bytes."""
        return self._carrier.estimate(regions, frame)

    def bytes_of(
        self,
        boxes: Boxes,
        frame: Canonical,
        of: npt.NDArray[np.intp],
        room: float = math.inf,
    ) -> npt.NDArray[np.float64]:
        """float64 (n,), what it costs to ask about each box, bytes.

        What takes as much as the whole frame brings the whole frame, as where the cloud has no
        canvas yet or has lost it: those boxes are asked about by one picture, and share its bytes
        if it can be sent at all.

        Args:
            boxes: float32 (n, 4), pixels of the native frame.
            frame: the frame.
            of: int (m,), the rows that may be asked about; nothing is foreseen for the others: 0.
            room: bytes that may be sent now.
        """
        out = np.zeros(len(boxes))
        if not len(of):
            return out
        regions = regions_alone(boxes[of], frame, self._settings.regions)
        out[of] = [self._carrier.estimate((region,), frame) for region in regions]
        whole = self._carrier.estimate((frame.whole(),), frame)
        together = out >= whole
        if whole <= room and together.any():
            out[together] = whole / together.sum()
        return out

    def encode(
        self, image: Image, regions: tuple[Region, ...], frame: FrameRef, *, alone: bool
    ) -> Carried:
        """The regions of the frame answered last.

        Args:
            image: uint8 (height, width, 3), BGR; not kept.
            regions: inside the frame, at least one.
            frame: which.
            alone: it must mean something by itself: no update of a canvas.

        Raises:
            InvalidInput: a limit of bytes that the lowest quality exceeds.
        """
        carrier = self._alone if alone else self._carrier
        if self._log_side is not None:
            carrier.aim(math.exp(self._log_side))
        canonical = self.canonical(frame.width, frame.height)
        return carrier.encode(image, regions, canonical, self._settings.gate.max_bytes)

    def packed(self, escalation: Escalation, image: Image) -> None:
        """A question is made of what `encode` gave for ``image``.

        Of an audit that is an update of a canvas a copy is held: frames are lent memory, and an
        audit that does not get through has to be packed again.
        """
        if escalation.canvas is None or escalation.purpose is not Purpose.AUDIT:
            return
        self._held[escalation.request_id] = image.copy()
        while len(self._held) > _MAX_HELD:
            self._held.popitem(last=False)

    def settled(self, request_id: str) -> None:
        """A question has its verdict, or never gets one."""
        self._held.pop(request_id, None)

    def by_itself(self, escalation: Escalation) -> Escalation | None:
        """The same question as a mosaic; ``None`` where its picture is not held (any more)."""
        if escalation.canvas is None:
            return escalation
        image = self._held.pop(escalation.request_id, None)
        if image is None:
            return None
        canonical = self.canonical(escalation.frame_width, escalation.frame_height)
        try:
            carried = self._alone.encode(
                image, escalation.regions, canonical, self._settings.gate.max_bytes
            )
        except InvalidInput:
            return None
        return replace(
            escalation,
            image=carried.image,
            encoding=carried.encoding,
            placements=carried.placements,
            canvas=None,
        )

    def not_sent(self, escalation: Escalation, error: SecondlookError | None) -> None:
        """An update of a canvas did not get through, or not surely: the next is a key frame.

        Args:
            escalation: a question; one that is no such update is of no interest.
            error: what became of it; ``None``: it was never sent. What the cloud has answered,
                be it with an error, has arrived, and its canvas has gone on.
        """
        if error is None or isinstance(error, Unavailable):
            self._given.lost(escalation.canvas)
