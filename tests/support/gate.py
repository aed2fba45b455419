"""Pieces of a gate for tests: a plain risk model, and evidence written out.

The cold-start rule and the defaults are tuned now and then. Tests of what happens around them use
this rule and thresholds of their own, so that they hold whatever the numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from secondlook.edge.gate import FrameEvidence, RiskModel
from secondlook.edge.gate.logistic import Basis, Logistic
from secondlook.edge.pipeline_settings import PipelineSettings

PLAIN = {
    "threshold": 0.12,
    "again_factor": 1.5,
    "again_s": 0.0,
    "waiting_factor": 1000.0,
    "ride_share": 0.5,
}
"""``[gate]`` for `plain_risk`: scores of 0.12 to 0.88 are asked about."""
ALWAYS_ASK = {"threshold": 0.001, "again_factor": 1.0, "again_s": 0.0, "waiting_factor": 1000.0}
"""``[gate]`` under which whatever is seen is asked about, also just after a verdict."""
PLAIN_FUSION = {"publish_probability": 0.35}
"""``[fusion]`` for `plain_risk`."""


def plain_settings(*, audit_rate: float = 0.0, **sections: Any) -> PipelineSettings:
    """Settings for `plain_risk`, under which boxes alone are asked about."""
    signs = ("blob_loss", "coasting_loss", "prior_loss", "view_loss", "view_gain")
    given = {
        **sections,
        "gate": {**PLAIN, **sections.get("gate", {})},
        "fusion": {**PLAIN_FUSION, **sections.get("fusion", {})},
        "trust": {"audit_rate": audit_rate, **sections.get("trust", {})},
        "misses": {**dict.fromkeys(signs, 0.0), **sections.get("misses", {})},
    }
    return PipelineSettings.model_validate(given)


def plain_risk() -> RiskModel:
    """A score is a probability, classes are right, and verdicts fade within three seconds or so.

    They fade until they are doubted, not until they are believed to be wrong. A verdict is doubted
    too when the score falls (seen) or rises (refuted), or when the size changes.
    """
    fades = Basis(("verdict", "age", "risen", "grown", "confirmations"), (("age", 1.25),))
    returns = Basis(("age", "risen", "grown"), (("age", 1.6),))
    return RiskModel(
        present=Logistic(Basis(("score",)), (0.0, 1.0)),
        same_class=Logistic(Basis(()), (10.0,)),
        confirmed=Logistic(fades, (1.0, 1.0, -2.0, 2.0, -1.0, 1.0, 2.0)),
        refuted=Logistic(returns, (-4.0, 2.0, 3.0, 1.0, -2.0)),
    )


def evidence(
    losses: Sequence[float] = (),
    *,
    ages_s: Sequence[float] | None = None,
    in_flight: Sequence[bool] | None = None,
    **fields: Any,
) -> FrameEvidence:
    """A frame with candidates of these losses, side by side; the cloud knows its background."""
    count = len(losses)
    left = np.arange(count, dtype=np.float32) * 20
    boxes = np.stack([left, np.zeros(count), left + 16, np.full(count, 16.0)], axis=1)
    loss = np.array(losses, np.float64)
    given: dict[str, Any] = {
        "camera": "gate",
        "sequence": 1,
        "boxes": boxes.astype(np.float32),
        "names": ("car",) * count,
        "track_ids": np.arange(count, dtype=np.int64),
        "scores": np.full(count, 0.5),
        "right": 1 - loss,
        "loss": loss,
        "verdict_age_s": np.full(count, np.nan) if ages_s is None else np.array(ages_s, float),
        "in_flight": np.zeros(count, bool) if in_flight is None else np.array(in_flight, bool),
        "reasons": ("",) * count,
        "background_age_s": 0.0,
        "background_in_flight": False,
        **fields,
    }
    return FrameEvidence(**given)
