"""The budget of one question, from the moment it is decided to the moment it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secondlook.edge.control.resource import Grip
from secondlook.shared.values import Purpose

if TYPE_CHECKING:
    from secondlook.edge.control.controller import Controller


class Reservation:
    """What `Controller.reserve` took. `close` it exactly once; later calls do nothing.

    It stays held until then, for nobody knows when between the two its bytes pass the wire.
    """

    def __init__(
        self,
        controller: Controller,
        camera: str,
        purpose: Purpose,
        sent: Grip,
        runs: Grip,
        bytes_on_wire: float,
    ) -> None:
        self._controller = controller
        self._camera = camera
        self._purpose = purpose
        self._runs = runs
        self._grips = [sent]
        self._reserved = bytes_on_wire
        self._used = 0.0
        self._open = True

    @property
    def bytes_on_wire(self) -> float:
        """What its attempts have put on the wire so far."""
        return self._used

    def attempt(self, bytes_on_wire: float, now_s: float) -> bool:
        """Pay for an attempt before it is made; ``False``: it cannot be paid, make it not.

        The first is covered by the reservation, retries take more. A first attempt that is larger
        than what was reserved takes the difference the same way.
        """
        more = self._used + bytes_on_wire - self._reserved
        if more > 0:
            controller = self._controller
            grip = controller.bytes.take(
                self._camera,
                controller.amount(self._camera, more),
                now_s,
                audit=self._purpose is Purpose.AUDIT,
                # What is encoded and refused for a few bytes is worse than a share overdrawn.
                over_share=not self._used,
            )
            if grip is None:
                return False
            self._grips.append(grip)
            self._reserved += more
        self._used += bytes_on_wire
        return True

    def close(self, now_s: float) -> None:
        """Nothing more will be sent: what was not used is given back."""
        if not self._open:
            return
        self._open = False
        controller, camera = self._controller, self._camera
        runs = self._runs.amount if self._used else 0.0
        left = controller.amount(camera, self._used, runs)
        for grip in self._grips:
            used = min(grip.amount, left)
            left -= used
            controller.bytes.settle(camera, grip, used, now_s)
        controller.inferences.settle(camera, self._runs, runs, now_s)
        controller.count(camera, self._purpose, self._used, runs)
