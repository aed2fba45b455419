"""Dashboard and alerts name nothing that the real service does not expose."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families
from support.cloud import FakeDetector, channel_to, escalation_stub, picture, settings, whole_frame
from support.engines_fake import followed
from support.nvml import FakeNvml
from support.promql import Malformed, Query, read
from support.waiting import until

from secondlook.cloud.engine.lifecycle_metrics import LifecycleMetrics
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.shared.wire.escalation import request_to_proto

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = GRAFANA / "secondlook-cloud.json"
RULES = ROOT / "deploy" / "prometheus" / "secondlook-cloud.rules.yaml"
GUIDE = ROOT / "docs" / "guides" / "operations.md"

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
"""What Prometheus gets of a metric of that type."""
OF_TARGETS = {"instance", "job"}
"""Labels that Prometheus adds to whatever it scrapes."""
OF_PROMETHEUS = {"up": {"instance", "job"}}
"""Metrics that it makes itself."""
VARIABLES = re.compile(r"\$\{?(\w+)\}?")


def panels() -> Iterator[dict[str, Any]]:
    yield from (
        panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"
    )


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    """Name and text of every query."""
    shown = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    return shown + [(rule["alert"], rule["expr"]) for rule in alerts()]


@dataclass
class Exposed:
    """What a service exposes: labels of each sample, and the values they have."""

    labels: dict[str, set[str]] = field(default_factory=dict)
    values: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def take(self, families: list[Metric]) -> None:
        for family in families:
            for sample in family.samples:
                self.labels.setdefault(sample.name, set()).update(sample.labels)
                for label, value in sample.labels.items():
                    self.values[sample.name, label].add(value)

    def take_unused(self, registry: CollectorRegistry) -> None:
        """Metrics with labels have no samples before they are first used; their labels stand."""
        for collector in registry._collector_to_names:
            for family in collector.describe():
                declared = getattr(collector, "_labelnames", getattr(family, "_labelnames", ()))
                for suffix in SUFFIXES.get(family.type, ("",)):
                    extra = {"le"} if suffix == "_bucket" else set()
                    self.labels.setdefault(family.name + suffix, {*declared, *extra})


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    """Of the real service, after a little of everything, on a machine with GPUs."""
    before = sys.modules.get("pynvml")
    sys.modules["pynvml"] = FakeNvml()  # type: ignore[assignment]
    try:
        return anyio.run(_exposed, tmp_path_factory.mktemp("models"))
    finally:
        del sys.modules["pynvml"]
        if before is not None:
            sys.modules["pynvml"] = before


async def _exposed(models: Path) -> Exposed:
    registry = CollectorRegistry()
    chosen = settings(
        metrics={"enabled": True, "port": 0},
        monitor={"enabled": True, "every_s": 0.1},
        cache={"enabled": True},
        breaker={"enabled": True},
        repository={"paths": [str(models)], "memory_mb": 64},
    )
    detector = FakeDetector()
    exposed = Exposed()
    async with (
        running_cloud(chosen, registry, load=lambda _: [Loaded(detector)]) as cloud,
        channel_to(cloud.port) as channel,
    ):
        stub = escalation_stub(channel)
        told: list[Metric] = []
        levels = itertools.count(1)

        async def ask(level: int) -> None:
            asked = whole_frame(picture(64, 48, level=level))
            await stub.Escalate(request_to_proto(asked), timeout=30)

        async def look() -> None:
            # A moving scene, so that the network always has something to do.
            level = next(levels)
            await ask(level)
            await ask(level)
            url = f"http://127.0.0.1:{cloud.metrics_port}/metrics"
            text = await anyio.to_thread.run_sync(_get, url)
            told[:] = text_string_to_metric_families(text)

        with anyio.fail_after(60):
            detector.hold()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, 0)
                await anyio.to_thread.run_sync(detector.wait_entered)
                tasks.start_soon(ask, 0)
                await until(lambda: followed(cloud.engine))
                detector.release()
            while True:
                await look()
                named = {sample.name for family in told for sample in family.samples}
                if {"secondlook_cloud_window_seconds", "secondlook_cloud_gpu_busy_ratio"} <= named:
                    break
        exposed.take(told)
        exposed.take_unused(registry)
    # Models that a test gives are not loaded, so none of them can be refused.
    lifecycle = CollectorRegistry()
    LifecycleMetrics(lifecycle).refused("m")
    exposed.take(list(lifecycle.collect()))
    return exposed


def _get(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(url, timeout=30) as reply:
        return str(reply.read().decode())


def problems(query: Query, exposed: Exposed) -> Iterator[str]:
    """What a query names that the service does not have."""
    known: set[str] = set(OF_TARGETS)
    for selector in query.selectors:
        labels = OF_PROMETHEUS.get(selector.metric, exposed.labels.get(selector.metric))
        if labels is None:
            yield f"no metric {selector.metric}"
            continue
        known |= labels
        for label, sign, value in selector.matchers:
            if label in OF_TARGETS:
                continue
            if label not in labels:
                yield f"{selector.metric} has no label {label}"
            elif not VARIABLES.search(value):
                there = exposed.values[selector.metric, label]
                wanted = value.split("|") if "~" in sign else [value]
                yield from (
                    f"{selector.metric}: {label} is never {one}, but one of {sorted(there)}"
                    for one in wanted
                    if one not in there
                )
    yield from (f"nothing is grouped by {one}" for one in query.groupings if one not in known)


@pytest.mark.parametrize(("name", "text"), queries(), ids=[name for name, _ in queries()])
def test_the_service_exposes_what_is_asked(name: str, text: str, exposed: Exposed) -> None:
    assert list(problems(read(text), exposed)) == []


def test_the_check_finds_what_is_wrong(exposed: Exposed) -> None:
    for text in (
        "secondlook_cloud_engine_dropped",
        'secondlook_cloud_engine_dropped_total{cause="expired"}',
        'secondlook_cloud_engine_dropped_total{reason="late"}',
        'secondlook_cloud_engine_dropped_total{reason=~"expired|late"}',
        "sum by (variant) (secondlook_cloud_engine_dropped_total)",
    ):
        assert len(list(problems(read(text), exposed))) == 1, text


@pytest.mark.parametrize(
    "text",
    ["sum(a", "sum a)", "rat(a[5m])", "a{b}", 'a{b="c"', 'a{b=="c"}', "sum by a (b)", "a[5]", "1"],
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


def test_the_dashboard_is_fresh() -> None:
    run = subprocess.run(
        [sys.executable, str(GRAFANA / "generate_dashboard.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_panels_have_places_numbers_and_known_variables() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    everything = dashboard["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + row)
            for column in range(place["w"])
            for row in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, f"{panel['title']} lies on another panel"
        taken |= cells
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(VARIABLES.findall(json.dumps(everything))) <= variables


def test_variables_come_from_metrics_that_are_there(exposed: Exposed) -> None:
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] != "query":
            continue
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert asked is not None
        metric, label = asked.groups()
        assert label in exposed.labels[metric] | OF_TARGETS


def test_alerts_say_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    headings = {
        line.lstrip("# ").strip() for line in GUIDE.read_text().splitlines() if line[:1] == "#"
    }
    for rule in alerts():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        page, anchor = rule["annotations"]["runbook"].split("#")
        assert ROOT / page == GUIDE
        assert anchor == rule["alert"].lower()
        assert rule["alert"] in headings, "the guide tells what to do"


def test_alerts_name_labels_that_their_series_have() -> None:
    for rule in alerts():
        query = read(rule["expr"])
        texts = " ".join(rule["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", texts))
        if query.groupings:
            assert named <= set(query.groupings), rule["alert"]


def test_prometheus_itself_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH")
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, timeout=60)


def test_the_example_loads_the_rules() -> None:
    example = yaml.safe_load((RULES.parent / "prometheus.yaml").read_text())
    assert example["rule_files"] == [RULES.name]
    assert [job["job_name"] for job in example["scrape_configs"]] == ["secondlook-cloud"]
