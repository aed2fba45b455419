"""Settings of the budget: what may be sent and what may be computed, per camera and per site."""

from __future__ import annotations

from pydantic import Field, model_validator
from typing_extensions import Self

from secondlook.shared.settings import Section

DAY_S = 86_400.0
MONTH_S = 365.25 / 12 * DAY_S
"""The mean month: 30.4 days."""


class RateSettings(Section):
    """A budget in one of three units. Where none is given, there is no limit."""

    kb_per_s: float | None = Field(
        None, ge=0, le=1e7, description="Bytes that may be sent, KB (1000 bytes) a second."
    )
    mb_per_day: float | None = Field(
        None, ge=0, le=1e9, description="The same in MB (a million bytes) a day."
    )
    money_per_month: float | None = Field(
        None, ge=0, le=1e9, description="The same in money a month; needs price_per_gb."
    )
    price_per_gb: float | None = Field(
        None, gt=0, le=1e6, description="What a GB (a billion bytes) costs, in the same money."
    )
    money_per_inference: float | None = Field(
        None,
        ge=0,
        le=1e4,
        description="What an inference of the heavy model costs; it is paid from money_per_month.",
    )
    cloud_per_s: float | None = Field(
        None, ge=0, le=1e6, description="Inferences of the heavy model that may be asked a second."
    )

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        units = ("kb_per_s", "mb_per_day", "money_per_month")
        given = [name for name in units if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} say the same in different units; give one")
        if self.money_per_month is not None and self.price_per_gb is None:
            raise ValueError("money_per_month needs price_per_gb")
        for name in ("price_per_gb", "money_per_inference"):
            if getattr(self, name) is not None and self.money_per_month is None:
                raise ValueError(f"{name} needs money_per_month")
        return self

    @property
    def bytes_per_s(self) -> float | None:
        """The budget in bytes a second; ``None``: no limit."""
        if self.kb_per_s is not None:
            return self.kb_per_s * 1e3
        if self.mb_per_day is not None:
            return self.mb_per_day * 1e6 / DAY_S
        if self.money_per_month is not None and self.price_per_gb is not None:
            return self.money_per_month / self.price_per_gb * 1e9 / MONTH_S
        return None

    @property
    def inference_bytes(self) -> float:
        """Bytes that cost as much as one inference; 0 where inferences cost no money."""
        if self.money_per_inference is None or self.price_per_gb is None:
            return 0.0
        return self.money_per_inference / self.price_per_gb * 1e9


class CameraBudget(RateSettings):
    """``[cameras.budget]``: one camera's own limit, and its weight where cameras share."""

    weight: float = Field(
        1.0, gt=0, le=1000, description="Its part of a shared budget, against other cameras'."
    )


class BudgetSettings(RateSettings):
    """``[budget]``: what all cameras together may send and have computed. No limit by default.

    Bytes are payload of TCP: messages, HTTP/2 framing, headers, retries, audits.
    """

    burst_s: float = Field(
        10.0, ge=1, le=3600, description="Budget that may be saved up and spent at once, seconds."
    )
    audit_share: float = Field(
        0.2, ge=0, le=0.9, description="Part of the budget that audits alone may use."
    )
    sync_share: float = Field(
        0.1,
        ge=0,
        le=0.9,
        description="Part of it that the memory's synchronisation gets, where `memory.sync` has no "
        "limit of its own.",
    )
    overhead: float = Field(
        0.0,
        ge=0,
        le=1,
        description="What the network adds to each byte of payload (TCP and IP headers: 0.04).",
    )
    per_camera: CameraBudget = Field(
        default_factory=CameraBudget, description="Of each camera that has no budget of its own."
    )

    def without(self, part: float) -> BudgetSettings:
        """The same with so much less to send: 0.1 leaves nine tenths."""
        units = ("kb_per_s", "mb_per_day", "money_per_month")
        given = {name: getattr(self, name) for name in units if getattr(self, name) is not None}
        return self.model_copy(update={name: rate * (1 - part) for name, rate in given.items()})
