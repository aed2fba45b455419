"""What a replica counts is shown in front, by replica. (Real ones: heavy.)"""

from __future__ import annotations

import pickle

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.engine import offer

from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.ray.reports import Report
from secondlook.cloud.engine.ray.telling import ReplicaMetrics, families


def report_of(replica: str, *batches: int) -> Report:
    """What a replica says after these batches, as it arrives."""
    registry = CollectorRegistry()
    counted = EngineMetrics(registry).of_batcher("first", "1", "fp32")
    for rows in batches:
        counted.ran(rows, 0.02)
        counted.answered(0.004, 0.03)
    said: Report = pickle.loads(pickle.dumps(Report("app", replica, families(registry))))
    return said


def test_series_of_all_replicas_are_shown_until_they_go() -> None:
    registry = CollectorRegistry()
    EngineMetrics(registry)
    shown = ReplicaMetrics(registry)
    (release,) = offer("first", 1).releases
    shown.show([(release, report_of("r1", 1, 8)), (release, report_of("r2", 4))])

    def value(name: str, replica: str, **more: str) -> float | None:
        labels = {"model": "first", "version": "1", "variant": "fp32", "replica": replica, **more}
        return registry.get_sample_value(f"secondlook_cloud_replica_{name}", labels)

    assert value("batch_rows_sum", "r1") == 9
    assert value("batch_rows_bucket", "r1", le="2.0") == 1
    assert value("batch_rows_sum", "r2") == 4
    assert value("wait_seconds_count", "r1") == 2
    assert value("infer_seconds_sum", "r2") == 0.02
    assert value("dropped_total", "r2", reason="expired") == 0
    names = [family.name for family in text_string_to_metric_families(_text(registry))]
    assert len(names) == len(set(names))
    # The process in front has answered nothing itself.
    own = {"model": "first"}
    assert registry.get_sample_value("secondlook_cloud_engine_batch_rows_sum", own) is None

    shown.show([(release, report_of("r2", 4, 4))])
    assert value("batch_rows_sum", "r1") is None
    assert value("batch_rows_sum", "r2") == 8


def _text(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()
