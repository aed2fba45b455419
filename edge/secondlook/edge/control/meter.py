"""What the budget counts for Prometheus, by camera."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class ControlMeter:
    """Metrics of the budget; label ``camera``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(
                f"secondlook_edge_budget_{name}", text, ["camera", *labels], registry=registry
            )

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(
                f"secondlook_edge_budget_{name}", text, ["camera", *labels], registry=registry
            )

        self.price = gauge("price", "Utility that a second of the budget must bring.", "resource")
        self.granted = gauge("granted_per_second", "The camera's part of the budget.", "resource")
        self.required = gauge(
            "required_per_second", "What the certified threshold demands.", "resource"
        )
        self.infeasible = gauge(
            "slo_infeasible", "1 while the certified threshold needs more than the budget."
        )
        self.spent = counter("spent", "Bytes on the wire and inferences.", "resource", "purpose")
        self.refused = counter("refused_questions", "Questions that found no budget.", "purpose")
        self.late = gauge("late", "1 while verdicts are expected after the answer's deadline.")
