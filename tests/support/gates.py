"""Gate files for tests."""

from __future__ import annotations

from typing import Any

from secondlook.edge.gate.gate_file import GateFile
from secondlook.edge.gate.gate_parts import (
    Branch,
    Branches,
    ClipFacts,
    ClipPoints,
    ClipScore,
    ModelId,
    Point,
    Promise,
)
from secondlook.edge.gate.logistic import Basis, Logistic
from secondlook.edge.gate.risk import RiskModel, cold_start


def constant(odds: float) -> Logistic:
    """A regression that says the same of every box."""
    return Logistic(Basis(()), (odds,))


def certain(odds: float = 8.0) -> RiskModel:
    """A model that is sure of every box, or that there is none."""
    cold = cold_start()
    return RiskModel(constant(odds), constant(8.0), cold.confirmed, cold.refuted)


def branches(model: RiskModel | None = None) -> Branches:
    """A risk model as the file keeps it."""
    model = model or cold_start()
    return Branches(
        present=Branch.of(model.present, "small"),
        same_class=Branch.of(model.same_class, "cold start"),
        confirmed=Branch.of(model.confirmed, "cold start"),
        refuted=Branch.of(model.refuted, "cold start"),
    )


def gate_file(**changes: Any) -> GateFile:
    """A file about one clip, with some fields changed."""
    point = Point(
        threshold=0.12, frames=100, f1=0.9, recall=0.88, miss_rate=0.2, kb_per_frame=0.4,
        start_kb=12.0, inferences_per_frame=0.3,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "light": ModelId(name="light", version="sha256:aaaa"),
        "heavy": ModelId(name="heavy", version="7"),
        "classes": ("car",),
        "threshold": 0.2,
        "risk": branches(),
        "clips": (
            ClipFacts(name="a.mp4", content="file 1", modified="2024-05-01T00:00:00Z", frames=100,
                      hours=0.1, analysis_fps=10.0, size=(640, 480)),
        ),
        "scores": (ClipScore(clip="a.mp4", plain=0.7, cold=0.8, trained=0.9),),
        "promise": Promise(
            how="whole", carrier="mosaic", verdict_latency_s=0.25,
            settings={"regions.quality": 85, "regions.encoding": "webp", "gate.again_s": 0.25},
            points=(point,), clips=(ClipPoints(clip="a.mp4", points=(point,)),),
        ),
    }  # fmt: skip
    return GateFile(**{**fields, **changes})
