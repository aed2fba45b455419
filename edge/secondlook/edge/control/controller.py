"""The budget of a daemon: who may send and ask how much now, and what has been spent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from secondlook.edge.control.allowance import Allowance, Infeasible
from secondlook.edge.control.link import Link
from secondlook.edge.control.meter import ControlMeter
from secondlook.edge.control.offload import offload
from secondlook.edge.control.reservation import Reservation
from secondlook.edge.control.resource import Limit, Resource
from secondlook.edge.control.settings import BudgetSettings, CameraBudget
from secondlook.edge.control.sharing import Share
from secondlook.shared.errors import InvalidInput
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Purpose

_log = get_logger(__name__)

RELIEF = 0.95
"""A threshold counts as affordable again once it needs less than this part of what there is."""


class Controller:
    """Keeps the budget of all cameras. Not safe for concurrent use; no I/O; time is passed in.

    ::

        allowance = controller.allowance("gate", now_s)          # what the gate is told
        paid = controller.reserve("gate", Purpose.UNSURE, 3200, 1, now_s)
        if paid is not None:                                     # it fits: send it
            paid.attempt(3200, now_s)                            # before each attempt
            paid.close(now_s)                                    # once it is over

    Args:
        settings: the budget of all cameras together.
        cameras: each camera's own budget; ``None``: that of ``settings.per_camera``.
        now_s: monotonic time, seconds; all later times are of the same clock.
        registry: where the metrics go; nowhere where not given.
        link: what is known about the link.
        answer_within_s: in which time after its frame a verdict serves the answer, seconds.

    Attributes:
        link: what is known about the link; the sender tells it.
    """

    def __init__(
        self,
        settings: BudgetSettings,
        cameras: Mapping[str, CameraBudget | None],
        now_s: float,
        *,
        registry: CollectorRegistry | None = None,
        link: Link | None = None,
        answer_within_s: float = math.inf,
    ) -> None:
        self.link = link or Link()
        self._settings = settings
        self._within_s = answer_within_s
        self._meter = ControlMeter(registry or CollectorRegistry())
        budgets = {camera: own or settings.per_camera for camera, own in cameras.items()}
        self._inference_bytes = {
            camera: max(own.inference_bytes, settings.inference_bytes)
            for camera, own in budgets.items()
        }
        self.bytes = Resource(
            "bytes",
            settings.bytes_per_s,
            {c: Limit(own.bytes_per_s, own.weight) for c, own in budgets.items()},
            burst_s=settings.burst_s,
            least_burst=0.0,
            audit_share=settings.audit_share,
            now_s=now_s,
        )
        self.inferences = Resource(
            "inferences",
            settings.cloud_per_s,
            {c: Limit(own.cloud_per_s, own.weight) for c, own in budgets.items()},
            burst_s=settings.burst_s,
            # Half of the burst may be kept for audits: one question and one audit must fit.
            least_burst=2.0,
            audit_share=settings.audit_share,
            now_s=now_s,
        )
        self._infeasible: dict[str, Infeasible] = {}
        self._late = dict.fromkeys(cameras, False)
        for camera in cameras:
            self._meter.late.labels(camera).set(False)
            self._meter.infeasible.labels(camera).set(False)

    def allowance(self, camera: str, now_s: float) -> Allowance:
        """What the camera may spend now.

        Raises:
            InvalidInput: the camera is not known, or the time is not a number.
        """
        self._known(camera)
        room = self.bytes.room(camera, now_s)
        audit_room = self.bytes.room(camera, now_s, audit=True)
        runs = self.inferences.room(camera, now_s)
        audit_runs = self.inferences.room(camera, now_s, audit=True)
        byte_price = self.bytes.price(camera)
        run_bytes = self._inference_bytes[camera]
        timing = offload(self.link.typical, self._within_s)
        slo = self._judge(camera)
        if self._late.get(camera) is timing.in_time:
            self._late[camera] = not timing.in_time
            self._meter.late.labels(camera).set(not timing.in_time)
        return Allowance(
            byte_price=byte_price * (1 + self._settings.overhead),
            inference_price=self.inferences.price(camera) + byte_price * run_bytes,
            bytes_now=self._payload(room, run_bytes),
            inferences_now=runs,
            audit_bytes_now=self._payload(audit_room, run_bytes),
            audit_inferences_now=audit_runs,
            late=not timing.in_time,
            reasons=self._reasons(camera, room, runs, timing.reason if not timing.in_time else ""),
            slo=slo,
        )

    def reserve(
        self,
        camera: str,
        purpose: Purpose,
        bytes_on_wire: float,
        inferences: float,
        now_s: float,
    ) -> Reservation | None:
        """Take the budget of a question before it is sent; ``None`` where it is not there.

        Args:
            camera: whose question.
            purpose: why it is asked; audits may use what is kept for them.
            bytes_on_wire: what its first attempt puts on the wire, framing included, or more.
            inferences: of the heavy model.
            now_s: monotonic time, seconds.
        """
        self._known(camera)
        audit = purpose is Purpose.AUDIT
        amount = self._amount(camera, bytes_on_wire, inferences)
        runs = self.inferences.take(camera, inferences, now_s, audit=audit)
        if runs is None:
            self._meter.refused.labels(camera, purpose.value).inc()
            return None
        sent = self.bytes.take(camera, amount, now_s, audit=audit, stretch=True)
        if sent is None:
            self.inferences.settle(camera, runs, 0.0, now_s)
            self._meter.refused.labels(camera, purpose.value).inc()
            return None
        return Reservation(self, camera, purpose, sent, runs, bytes_on_wire)

    def demand(self, camera: str, bytes_per_s: float, inferences_per_s: float = 0.0) -> None:
        """What the certified threshold of a camera demands in the long run.

        Raises:
            InvalidInput: the camera is not known, or a number is negative or not finite.
        """
        self._known(camera)
        needed = self._amount(camera, bytes_per_s, inferences_per_s)
        self.bytes.require(camera, needed)
        self.inferences.require(camera, inferences_per_s)
        self._meter.required.labels(camera, "bytes").set(needed)
        self._meter.required.labels(camera, "inferences").set(inferences_per_s)
        self._judge(camera)

    def most_bytes_per_s(self, camera: str) -> float:
        """What a camera may send in the long run where others send nothing; infinite without."""
        self._known(camera)
        return self.bytes.limit(camera)

    def infeasible(self, camera: str) -> Infeasible | None:
        """What is missing for the camera's certified threshold; ``None`` where nothing is."""
        self._known(camera)
        return self._infeasible.get(camera)

    def shares(self) -> dict[str, tuple[Share, ...]]:
        """Who gets what of the site's budget, and why, by resource; empty where there is none."""
        return {one.name: one.shares for one in (self.bytes, self.inferences) if one.shares}

    def count(self, camera: str, purpose: Purpose, bytes_on_wire: float, runs: float) -> None:
        """Count for the metrics what was really spent."""
        self._meter.spent.labels(camera, "bytes", purpose.value).inc(bytes_on_wire)
        self._meter.spent.labels(camera, "inferences", purpose.value).inc(runs)
        for resource in (self.bytes, self.inferences):
            self._meter.price.labels(camera, resource.name).set(resource.nu(camera))
            self._meter.granted.labels(camera, resource.name).set(resource.rate(camera))

    def amount(self, camera: str, bytes_on_wire: float, inferences: float = 0.0) -> float:
        """What is taken from the budget of bytes for a question: see `BudgetSettings`."""
        return self._amount(camera, bytes_on_wire, inferences)

    def _amount(self, camera: str, bytes_on_wire: float, inferences: float) -> float:
        for name, value in (("bytes", bytes_on_wire), ("inferences", inferences)):
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInput(f"{name} is {value}; a finite number of 0 or more expected")
        on_wire = bytes_on_wire * (1 + self._settings.overhead)
        return on_wire + inferences * self._inference_bytes[camera]

    def _payload(self, room: float, run_bytes: float) -> float:
        return max(0.0, room - run_bytes) / (1 + self._settings.overhead)

    def _known(self, camera: str) -> None:
        if camera not in self._inference_bytes:
            raise InvalidInput(f"camera {camera!r} has no budget here")

    def _judge(self, camera: str) -> Infeasible | None:
        """Whether the certified threshold can be kept; tells each change once."""
        before = self._infeasible.get(camera)
        found = None
        for resource in (self.bytes, self.inferences):
            needed, available = resource.required(camera), resource.rate(camera)
            bound = available * (RELIEF if before is not None else 1.0)
            if needed > bound:
                found = Infeasible(resource.name, needed, available)
                break
        if found is not None:
            self._infeasible[camera] = found
        else:
            self._infeasible.pop(camera, None)
        if (found is None) is not (before is None):
            self._meter.infeasible.labels(camera).set(found is not None)
            if found is not None:
                _log.warning(
                    "SLO_INFEASIBLE",
                    camera=camera,
                    what=found.what,
                    needed_per_s=round(found.needed_per_s, 3),
                    available_per_s=round(found.available_per_s, 3),
                )
            else:
                _log.info("the certified threshold fits the budget again", camera=camera)
        return found

    def _reasons(self, camera: str, room: float, runs: float, late: str) -> tuple[str, ...]:
        reasons = []
        for resource, free, unit, scale in (
            (self.bytes, room, "KB", 1000.0),
            (self.inferences, runs, "inferences", 1.0),
        ):
            rate = resource.rate(camera)
            if math.isinf(rate):
                continue
            said = f"budget {rate / scale:.3g} {unit}/s, {free / scale:.3g} {unit} free now"
            nu = resource.nu(camera)
            reasons.append(said + (f", a second of it must bring {nu:.2g}" if nu else ""))
        return (*reasons, late) if late else tuple(reasons)
