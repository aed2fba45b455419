"""Quick histograms and counters tell Prometheus what its own would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from secondlook.shared.telemetry import QuickCounter, QuickHistogram

BUCKETS = (0.001, 0.25, 1.0, 20.0)


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(f"{k}={v}" for k, v in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.sampled_from(BUCKETS) | st.floats(0, 100), max_size=40))
def test_a_histogram_is_read_as_prometheus_own(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    quick = QuickHistogram("s", "Text.", ["model"], buckets=BUCKETS, registry=ours)
    slow = Histogram("s", "Text.", ["model"], buckets=BUCKETS, registry=theirs)
    for model in ("a", "b"):
        mine, yours = quick.labels(model), slow.labels(model)
        for value in values:
            mine.observe(value)
            yours.observe(value)
    assert samples(ours) == pytest.approx(samples(theirs))


@given(st.lists(st.lists(st.floats(0, 100), max_size=20), max_size=4))
def test_many_at_once_are_read_as_one_by_one(values: list[list[float]]) -> None:
    many, each = CollectorRegistry(), CollectorRegistry()
    joined = QuickHistogram("s", "Text.", [], buckets=BUCKETS, registry=many).labels()
    single = QuickHistogram("s", "Text.", [], buckets=BUCKETS, registry=each).labels()
    for some in values:
        joined.join(joined.sorted_in(some))
        joined.observe(0.25, len(some))
        for value in some:
            single.observe(value)
            single.observe(0.25)
    assert samples(many) == pytest.approx(samples(each))


def test_a_counter_is_read_as_prometheus_own() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    quick = QuickCounter("calls", "Text.", ["method", "status"], registry=ours)
    slow = Counter("calls", "Text.", ["method", "status"], registry=theirs)
    for labels, amount in ((("a", "OK"), 1.0), (("a", "LOST"), 2.5), (("a", "OK"), 1.0)):
        quick.labels(*labels).inc(amount)
        slow.labels(*labels).inc(amount)
    assert samples(ours) == samples(theirs)
    assert ours.get_sample_value("calls_total", {"method": "a", "status": "OK"}) == 2.0


def test_labels_are_kept_removed_and_checked() -> None:
    registry = CollectorRegistry()
    quick = QuickHistogram("s", "Text.", ["model"], buckets=BUCKETS, registry=registry)
    assert quick.labels("a") is quick.labels("a")
    quick.remove("a")
    quick.remove("a")
    assert samples(registry) == {}
    for wrong in ((), ("a", "b")):
        with pytest.raises(ValueError, match="has the labels model"):
            quick.labels(*wrong)
        with pytest.raises(ValueError, match="has the labels"):
            QuickCounter("c", "Text.", ["x"], registry=CollectorRegistry()).labels(*wrong)


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    QuickHistogram("s", "Text.", [], buckets=BUCKETS, registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        QuickHistogram("s", "Text.", [], buckets=BUCKETS, registry=registry)
