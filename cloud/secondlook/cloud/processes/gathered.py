"""The metrics of all processes as one page: each series has the number of its process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from secondlook.shared.telemetry import get_logger

LABEL = "process"
TIMEOUT_S = 5.0
"""A process that takes longer to tell its numbers is left out of the page."""


class Gathered(Collector):
    """Asks each process when the page is asked for. Blocking, in the thread of that request.

    Counters are not added up: a process that was started again begins at 0, which Prometheus sees
    in a series of its own and would misread in a sum.

    Args:
        ports: of the processes that serve metrics, by number.
    """

    def __init__(self, ports: Callable[[], Mapping[int, int]]) -> None:
        self._ports = ports

    def collect(self) -> Iterable[Metric]:
        """All families; a process that does not answer is left out."""
        ports = self._ports()
        if not ports:
            return []
        with ThreadPoolExecutor(len(ports), "metrics") as threads:
            return labelled(dict(zip(ports, threads.map(_page, ports.values()), strict=True)))


def labelled(pages: Mapping[int, str]) -> list[Metric]:
    """One list of families of the pages of several processes.

    Args:
        pages: in the text format of Prometheus, by the number of the process.
    """
    families: dict[str, Metric] = {}
    for number, page in pages.items():
        for family in text_string_to_metric_families(page):
            kept = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            kept.samples += [
                Sample(sample.name, {LABEL: str(number), **sample.labels}, sample.value)
                for sample in family.samples
            ]
    return list(families.values())


def _page(port: int) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT_S) as answer:
            text: str = answer.read().decode()
    except (OSError, HTTPException) as error:
        get_logger(__name__).warning("a process tells no metrics", error=str(error))
        return ""
    return text
