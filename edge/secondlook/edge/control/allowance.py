"""What a camera may spend now, and what spending costs: the budget as the gate sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Infeasible:
    """The certified threshold would need more than the budget gives: `SLO_INFEASIBLE`.

    Attributes:
        what: ``"bytes"`` or ``"inferences"``.
        needed_per_s: what the threshold demands, bytes (or inferences) a second.
        available_per_s: what this camera's share of the budget is, in the same unit.
    """

    what: str
    needed_per_s: float
    available_per_s: float

    def __str__(self) -> str:
        return (
            f"SLO_INFEASIBLE: {self.needed_per_s:,.6g} {self.what}/s needed, "
            f"{self.available_per_s:,.6g} available"
        )


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one camera may spend at one moment. Limits are infinite where there is no budget.

    A question of ``size`` bytes that costs ``count`` heavy inferences pays where its utility (the
    expected loss it saves, see `worth`) is at least its price, and may be sent where it fits
    (see `affords`). What the certified threshold demands is asked at any price, but never above
    the limits: then `slo` says so.

    Attributes:
        byte_price: utility that a byte must bring, per byte on the wire.
        inference_price: utility that one inference of the heavy model must bring.
        bytes_now: bytes on the wire that may be sent now, framing included.
        inferences_now: heavy inferences that may be asked for now.
        audit_bytes_now: the same for an audit, which may also use the share reserved for audits.
        audit_inferences_now: the same for an audit.
        late: a verdict is not expected before the deadline of the answer: what is asked now serves
            learning and memory.
        reasons: what limits it, in plain words; empty where nothing does.
        slo: what is missing where the certified threshold cannot be kept; else ``None``.

    Raises:
        InvalidInput: a price or a limit is negative or not a number.
    """

    byte_price: float = 0.0
    inference_price: float = 0.0
    bytes_now: float = math.inf
    inferences_now: float = math.inf
    audit_bytes_now: float = math.inf
    audit_inferences_now: float = math.inf
    late: bool = False
    reasons: tuple[str, ...] = ()
    slo: Infeasible | None = None

    def __post_init__(self) -> None:
        for name in (
            "byte_price",
            "inference_price",
            "bytes_now",
            "inferences_now",
            "audit_bytes_now",
            "audit_inferences_now",
        ):
            if not getattr(self, name) >= 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}; 0 or more expected")

    @classmethod
    def unlimited(cls) -> Allowance:
        """Without a budget: everything may be sent and costs nothing."""
        return cls()

    def price(self, size_bytes: float, inferences: float = 1.0) -> float:
        """What a question costs, in units of utility."""
        # Nothing costs nothing, also at an infinite price.
        bytes_cost = self.byte_price * size_bytes if size_bytes else 0.0
        return bytes_cost + (self.inference_price * inferences if inferences else 0.0)

    def worth(self, utility: float, size_bytes: float, inferences: float = 1.0) -> bool:
        """Whether a question pays: its utility is at least its price. Never where it is NaN."""
        return utility >= self.price(size_bytes, inferences)

    def affords(self, size_bytes: float, inferences: float = 1.0, *, audit: bool = False) -> bool:
        """Whether a question fits the limits. Never where its size is NaN."""
        if audit:
            room, runs = self.audit_bytes_now, self.audit_inferences_now
        else:
            room, runs = self.bytes_now, self.inferences_now
        return size_bytes <= room and inferences <= runs
