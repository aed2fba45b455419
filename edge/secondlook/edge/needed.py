"""What the threshold of a promise needs, and whether frames are asked about as it says. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.control.demand import Demand
from secondlook.edge.gate.protocol import Choice, FrameEvidence
from secondlook.shared.trust import SEND_ALL, TrustKeeper


class Need:
    """Of one camera. Not safe for concurrent use."""

    def __init__(self) -> None:
        self._demand = Demand()

    @property
    def per_s(self) -> tuple[float, float]:
        """Bytes and questions a second that the threshold needs where it is enforced."""
        return self._demand.per_s

    def left_out(
        self,
        evidence: FrameEvidence,
        estimates: npt.NDArray[np.float64],
        choice: Choice,
        keeper: TrustKeeper,
        time_s: float,
        whole_bytes: float,
    ) -> bool:
        """Count a frame, and say whether something was not asked about that the threshold wants.

        Args:
            evidence: what the gate was given.
            estimates: float64 (n,), what asking about each candidate would take, bytes.
            choice: what it chose.
            keeper: says which threshold is in force, and whether it is enforced.
            time_s: stream time of the frame.
            whole_bytes: what the whole frame would take.
        """
        # Also what waits for a verdict about an earlier frame: the promise is about each frame.
        open_ = evidence.loss > 0
        wanted = open_ & (evidence.loss >= keeper.demanded)
        if keeper.demanded <= SEND_ALL:
            self._demand.add(whole_bytes, 1.0, time_s)
        else:
            self._demand.add(float(estimates[wanted].sum()), float(wanted.any()), time_s)
        if choice.whole_frame:
            return False
        left = open_ & (evidence.loss >= keeper.tau)
        left[list(choice.ask)] = False
        return bool(left.any()) or keeper.tau <= SEND_ALL
