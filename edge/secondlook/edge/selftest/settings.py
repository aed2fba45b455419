"""Settings of the self-test of a site."""

from __future__ import annotations

from pydantic import Field

from secondlook.shared.settings import Section


class SelftestSettings(Section):
    """``[selftest]``: which way of working pays at a camera, found out from its audits.

    It takes part where ``regions.carrier`` is ``auto`` and there are audits.
    """

    enabled: bool = Field(True, description="Whether audits choose the way of working.")
    min_audits: int = Field(
        100, ge=10, le=1_000_000, description="Fewest audits before the way of working changes."
    )
    max_audits: int = Field(
        5000,
        ge=100,
        le=10_000_000,
        description="After so many audits they are gathered anew: a site is not what it was.",
    )
    delta: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Probability with which a round of audits may choose wrongly.",
    )
    price: float = Field(
        0.002,
        ge=0,
        le=1,
        description="Agreement (mean F1 of a frame) that one KB a second must buy.",
    )
    tolerance: float = Field(
        0.02,
        gt=0,
        le=1,
        description="A way that seems better is taken once it is proved to be worse by no more "
        "than this.",
    )
    margin: float = Field(
        0.002, ge=0, le=1, description="By how much another way must seem better to be taken."
    )
    cheaper: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="By what share another carrier must be cheaper to be taken.",
    )
    drift_audits: int = Field(
        50,
        ge=10,
        le=100_000,
        description="So many audits together are compared with those before, to tell a change.",
    )
    retest_s: float = Field(
        86_400.0,
        gt=0,
        le=31_536_000,
        description="How often a way without the gate is put to the test again, seconds.",
    )
    probe_every_s: float = Field(
        120.0,
        gt=0,
        le=86_400,
        description="How often the other ways are tried out without sending, seconds.",
    )
    probe_frames: int = Field(
        6, ge=2, le=1000, description="Whole frames in a row that are encoded to know their size."
    )
    probe_asks: int = Field(
        10, ge=1, le=10_000, description="Questions that are encoded for the other carrier too."
    )
    probe_share: float = Field(
        0.05,
        ge=0,
        le=10,
        description="What second looks at audits may take, as a share of what is sent anyway: they "
        "tell how well a full stream agrees. 0: there are none, and none is chosen.",
    )
    write_every_s: float = Field(
        300.0, gt=0, le=86_400, description="How often the audits so far are written down, seconds."
    )
