"""The metrics of several processes on one page."""

from __future__ import annotations

import socket

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from secondlook.cloud.processes.gathered import Gathered, labelled


def page(calls: int) -> str:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", ["method"], registry=registry).labels('a "b"\n').inc(calls)
    Histogram("seconds", "Time.", buckets=(1.0,), registry=registry).observe(calls)
    return generate_latest(registry).decode()


class Page:
    """What a registry asks for its families."""

    def __init__(self, pages: dict[int, str]) -> None:
        self._pages = pages

    def collect(self) -> object:
        return labelled(self._pages)


def test_each_series_has_the_number_of_its_process() -> None:
    registry = CollectorRegistry()
    registry.register(Page({0: page(3), 1: page(5)}))  # type: ignore[arg-type]
    text = generate_latest(registry).decode()
    assert text.count("# TYPE calls_total counter") == 1
    assert text.count("# TYPE seconds histogram") == 1
    samples = {
        (sample.name, sample.labels["process"]): sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["calls_total", "0"].value == 3
    assert samples["calls_total", "1"].value == 5
    assert samples["calls_total", "1"].labels["method"] == 'a "b"\n'
    assert samples["seconds_sum", "1"].value == 5


def test_one_that_does_not_answer_is_left_out() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gathered = Gathered(lambda: {1: nobody.getsockname()[1]})
        assert list(gathered.collect()) == []
    assert list(Gathered(dict).collect()) == []
