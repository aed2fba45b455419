"""The edge of a system under comparison: one camera's pipeline, and its budget in stream time.

Every pipeline of the comparison is made here, so that all systems publish by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable

from secondlook.edge.carrier import make_carrier
from secondlook.edge.control import Allowance, BudgetSettings, Controller, Reservation
from secondlook.edge.gate import Gate, RiskModel
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.clock import SystemClock
from secondlook.shared.values import Escalation


def camera_pipeline(
    camera: str,
    settings: PipelineSettings,
    names: tuple[str, ...],
    *,
    gate: Gate | None = None,
    carrier: str = "",
    risk: RiskModel | None = None,
) -> CameraPipeline:
    """A pipeline as the daemon makes it.

    Args:
        camera: id of the camera.
        settings: of all its parts.
        names: class names of the light model.
        gate: in the place of the pipeline's own.
        carrier: ``canvas`` or ``mosaic``; empty: as the settings say.
        risk: of the gate file that the settings name, opened; the cold start where not given.
    """
    return CameraPipeline(
        camera,
        settings,
        names,
        SystemClock(),
        gate=gate,
        risk=risk,
        carrier=make_carrier(settings, carrier),
    )


class Purse:
    """A budget that is spent in stream time, whatever the speed of the comparison.

    Args:
        camera: id of the camera.
        budget: as in ``[budget]``.
        wire_bytes: what a question takes on the wire.
    """

    def __init__(
        self, camera: str, budget: BudgetSettings, wire_bytes: Callable[[Escalation], int]
    ) -> None:
        self._camera = camera
        self._budget = budget
        self._wire_bytes = wire_bytes
        self._controller: Controller | None = None

    def allowance(self, media_s: float) -> Allowance:
        """What may be spent at a moment of the stream; moments never go back."""
        if self._controller is None:
            self._controller = Controller(self._budget, {self._camera: None}, media_s)
        return self._controller.allowance(self._camera, media_s)

    def pay(self, escalation: Escalation, media_s: float) -> Reservation | None:
        """Pay for a question; ``None`` where there is nothing to pay it with."""
        assert self._controller is not None
        size = self._wire_bytes(escalation)
        paid = self._controller.reserve(self._camera, escalation.purpose, size, 1, media_s)
        if paid is not None:
            paid.attempt(size, media_s)
        return paid
