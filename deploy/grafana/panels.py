"""What the dashboard of the cloud service shows: rows of panels, each with its queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HERE = 'instance=~"$instance"'
OF_MODEL = f'{HERE}, model=~"$model"'


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: PromQL by legend.
        unit: Grafana's name of the unit.
        about: one sentence.
        kind: Grafana's name of the kind.
        wide: columns it takes.
        extra: further options of the panel's fields.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    about: str = ""
    kind: str = "timeseries"
    wide: int = 8
    extra: dict[str, Any] = field(default_factory=dict)


def ratio(part: str, whole: str) -> str:
    """A part of a whole, where there is any."""
    return f"{part} / ({whole} > 0)"


STATES = {
    "mappings": [
        {
            "type": "value",
            "options": {
                "0": {"text": "closed", "color": "green", "index": 0},
                "1": {"text": "half open", "color": "yellow", "index": 1},
                "2": {"text": "open", "color": "red", "index": 2},
            },
        }
    ]
}
SHARE = {"min": 0, "max": 1}

ROWS: dict[str, list[Panel]] = {
    "At a glance": [
        Panel(
            "Backends cut off",
            {"": f"sum(secondlook_cloud_breaker_state{{{HERE}}} == bool 2)"},
            kind="stat",
            wide=4,
        ),
        Panel(
            "Calls failed",
            {"": f"max(secondlook_cloud_window_error_ratio{{{HERE}}})"},
            "percentunit",
            kind="stat",
            wide=4,
        ),
        Panel(
            "Calls",
            {"": f"sum(secondlook_cloud_window_calls_per_second{{{HERE}}})"},
            "reqps",
            kind="stat",
            wide=4,
        ),
        Panel(
            "Verdict, p99",
            {
                "": "max(secondlook_cloud_window_seconds"
                f'{{{HERE}, stage="verdict", quantile="0.99"}})'
            },
            "s",
            kind="stat",
            wide=4,
        ),
        Panel(
            "Waiting",
            {"": f"sum(secondlook_cloud_engine_queue_requests{{{HERE}}})"},
            kind="stat",
            wide=4,
        ),
        Panel(
            "Versions served",
            {"": f"sum(secondlook_cloud_model_versions{{{HERE}}})"},
            kind="stat",
            wide=4,
        ),
    ],
    "Latency": [
        Panel(
            "Verdicts, last seconds",
            {
                "p{{quantile}} {{instance}}": "secondlook_cloud_window_seconds"
                f'{{{HERE}, stage="verdict"}}'
            },
            "s",
            "From an escalation's arrival to its verdict, of the monitor's window.",
        ),
        Panel(
            "Stages, p95",
            {
                "{{stage}} {{model}}": "max by (stage, model) (secondlook_cloud_window_seconds"
                f'{{{OF_MODEL}, quantile="0.95"}})'
            },
            "s",
            "request: acceptance to answer; wait: until the network; infer: in the network.",
        ),
        Panel(
            "Requests of a model, p99 of 5 minutes",
            {
                "{{model}}": "histogram_quantile(0.99, sum by (model, le) (rate("
                f"secondlook_cloud_engine_request_seconds_bucket{{{OF_MODEL}}}[5m])))"
            },
            "s",
        ),
    ],
    "Errors": [
        Panel(
            "Calls by status",
            {"{{status}}": f"sum by (status) (rate(secondlook_cloud_calls_total{{{HERE}}}[1m]))"},
            "reqps",
        ),
        Panel(
            "Left the queue without an answer",
            {
                "{{model}} {{reason}}": "sum by (model, reason) "
                f"(rate(secondlook_cloud_engine_dropped_total{{{OF_MODEL}}}[1m]))"
            },
            "reqps",
            "expired: too late; overloaded: no room; cancelled: the caller went away.",
        ),
        Panel(
            "Refused, by tenant",
            {
                "{{tenant}}": "sum by (tenant) "
                f"(rate(secondlook_cloud_engine_refused_total{{{OF_MODEL}}}[1m]))"
            },
            "reqps",
        ),
    ],
    "Queue and batch": [
        Panel(
            "Most that waited, last seconds",
            {"{{model}}": f"sum by (model) (secondlook_cloud_window_queue_requests{{{OF_MODEL}}})"},
        ),
        Panel(
            "Rows of a batch",
            {
                "mean {{model}}": "avg by (model) "
                f"(secondlook_cloud_window_batch_rows{{{OF_MODEL}}})",
                "limit {{model}} {{version}} {{variant}}": "max by (model, version, variant) "
                f"(secondlook_cloud_engine_batch_limit_rows{{{OF_MODEL}}})",
            },
            about="The limit is what the adaptive pipeline allows now.",
        ),
        Panel(
            "Asked for, and possible",
            {
                "asked {{model}}": "sum by (model) "
                f"(secondlook_cloud_engine_arrival_rows_per_second{{{OF_MODEL}}})",
                "possible {{model}}": "sum by (model) "
                f"(secondlook_cloud_engine_capacity_rows_per_second{{{OF_MODEL}}})",
            },
            "rowsps",
            "Possible is learnt from the measured time per batch size.",
        ),
        Panel(
            "Admission margin",
            {
                "{{model}} {{version}}": "max by (model, version) "
                f"(secondlook_cloud_engine_admission_margin_ratio{{{OF_MODEL}}})"
            },
            about="What predictions are widened by; it grows when answers come too late.",
        ),
        Panel(
            "Run again, because their batch failed",
            {
                "{{model}}": "sum by (model) "
                f"(rate(secondlook_cloud_engine_retried_total{{{OF_MODEL}}}[1m]))"
            },
            "reqps",
        ),
    ],
    "Models and versions": [
        Panel(
            "Served",
            {
                "{{model}} {{version}} {{variant}}": "count by (model, version, variant) "
                f"(secondlook_cloud_engine_batch_limit_rows{{{OF_MODEL}}})"
            },
            about="On how many replicas each version is served.",
        ),
        Panel(
            "Loads",
            {
                "{{model}} {{outcome}}": "sum by (model, outcome) "
                f"(increase(secondlook_cloud_model_loads_total{{{OF_MODEL}}}[5m]))"
            },
            about="A version that is refused leaves the old one serving; the log says why.",
        ),
        Panel(
            "Time to load, p95 of an hour",
            {
                "{{model}}": "histogram_quantile(0.95, sum by (model, le) (rate("
                f"secondlook_cloud_model_load_seconds_bucket{{{OF_MODEL}}}[1h])))"
            },
            "s",
        ),
    ],
    "Choice of variant": [
        Panel(
            "Chosen for new requests",
            {
                "{{model}} {{version}} {{variant}}": "sum by (model, version, variant) "
                f"(secondlook_cloud_engine_chosen{{{OF_MODEL}}})"
            },
            about="On how many replicas; the reason is in each reply.",
        ),
        Panel(
            "Latency, and what it is to be",
            {
                "p95 {{model}}": "max by (model) (secondlook_cloud_window_seconds"
                f'{{{OF_MODEL}, stage="request", quantile="0.95"}})',
                "objective {{model}}": "max by (model) "
                f"(secondlook_cloud_engine_objective_seconds{{{OF_MODEL}}})",
            },
            "s",
        ),
        Panel(
            "Changes of the choice",
            {
                "{{model}}": "sum by (model) "
                f"(increase(secondlook_cloud_engine_choice_changes_total{{{OF_MODEL}}}[5m]))"
            },
        ),
    ],
    "Models in memory": [
        Panel(
            "Requests that found their model",
            {
                "{{instance}}": ratio(
                    f"rate(secondlook_cloud_resident_hits_total{{{HERE}}}[5m])",
                    f"(rate(secondlook_cloud_resident_hits_total{{{HERE}}}[5m]) "
                    f"+ rate(secondlook_cloud_resident_cold_total{{{HERE}}}[5m]))",
                )
            },
            "percentunit",
            extra=SHARE,
        ),
        Panel(
            "Loads and evictions",
            {
                "loaded {{when}}": "sum by (when) "
                f"(rate(secondlook_cloud_resident_loads_total{{{HERE}}}[5m]))",
                "evicted": f"sum(rate(secondlook_cloud_resident_evictions_total{{{HERE}}}[5m]))",
            },
            "ops",
            "demand: a request waited for it; now and idle: loaded ahead, because it was likely.",
        ),
        Panel(
            "Memory of the models",
            {
                "{{instance}}": f"secondlook_cloud_resident_bytes{{{HERE}}}",
            },
            "bytes",
        ),
    ],
    "Breakers": [
        Panel(
            "State",
            {
                "{{backend}} {{instance}}": "max by (backend, instance) "
                f"(secondlook_cloud_breaker_state{{{HERE}}})"
            },
            kind="state-timeline",
            extra=STATES,
        ),
        Panel(
            "Calls by outcome",
            {
                "{{backend}} {{outcome}}": "sum by (backend, outcome) "
                f"(rate(secondlook_cloud_breaker_calls_total{{{HERE}}}[1m]))"
            },
            "ops",
        ),
        Panel(
            "Refused, and hanging",
            {
                "refused a second {{backend}}": "sum by (backend) "
                f"(rate(secondlook_cloud_breaker_refused_total{{{HERE}}}[1m]))",
                "hanging {{backend}}": "sum by (backend) "
                f"(secondlook_cloud_breaker_hung_calls{{{HERE}}})",
                "cut off in 5 minutes {{backend}}": "sum by (backend) "
                f"(increase(secondlook_cloud_breaker_opened_total{{{HERE}}}[5m]))",
            },
        ),
    ],
    "Verdict cache": [
        Panel(
            "Questions that no network was asked",
            {
                "{{model}} {{version}}": ratio(
                    "sum by (model, version) (rate(secondlook_cloud_cache_lookups_total"
                    f'{{{OF_MODEL}, outcome=~"hit|shared"}}[5m]))',
                    "sum by (model, version) "
                    f"(rate(secondlook_cloud_cache_lookups_total{{{OF_MODEL}}}[5m]))",
                )
            },
            "percentunit",
            extra=SHARE,
        ),
        Panel(
            "Spared",
            {
                "pixels {{model}}": "sum by (model) "
                f"(rate(secondlook_cloud_cache_saved_bytes_total{{{OF_MODEL}}}[5m]))"
            },
            "Bps",
        ),
        Panel(
            "Time of the network spared",
            {
                "{{model}}": "sum by (model) "
                f"(rate(secondlook_cloud_cache_saved_seconds_total{{{OF_MODEL}}}[5m]))"
            },
            about="Seconds of the device a second.",
        ),
        Panel("Size", {"{{instance}}": f"secondlook_cloud_cache_bytes{{{HERE}}}"}, "bytes"),
        Panel("Answers kept", {"{{instance}}": f"secondlook_cloud_cache_entries{{{HERE}}}"}),
        Panel(
            "Forgotten, and taken over a restart",
            {
                "{{reason}}": "sum by (reason) "
                f"(rate(secondlook_cloud_cache_forgotten_total{{{HERE}}}[5m]))",
                "taken over": f"sum(rate(secondlook_cloud_cache_warmed_total{{{HERE}}}[5m]))",
            },
            "ops",
        ),
    ],
    "Utilisation": [
        Panel(
            "Cores",
            {
                "this process {{instance}}": f"secondlook_cloud_process_cpu_cores{{{HERE}}}",
            },
        ),
        Panel(
            "Machine",
            {
                "cores {{instance}}": f"secondlook_cloud_machine_cpu_ratio{{{HERE}}}",
                "memory {{instance}}": f"secondlook_cloud_machine_memory_ratio{{{HERE}}}",
            },
            "percentunit",
            extra=SHARE,
        ),
        Panel(
            "Memory of the process",
            {"{{instance}}": f"secondlook_cloud_process_memory_bytes{{{HERE}}}"},
            "bytes",
        ),
        Panel(
            "GPU",
            {"{{instance}} {{gpu}}": f"secondlook_cloud_gpu_busy_ratio{{{HERE}}}"},
            "percentunit",
            extra=SHARE,
        ),
        Panel(
            "Memory of the GPU",
            {
                "{{instance}} {{gpu}}": f"secondlook_cloud_gpu_memory_used_bytes{{{HERE}}}",
                "there is {{instance}} {{gpu}}": "secondlook_cloud_gpu_memory_total_bytes"
                f"{{{HERE}}}",
            },
            "bytes",
        ),
        Panel(
            "Event loop late",
            {"{{instance}}": f"secondlook_cloud_window_loop_lag_seconds{{{HERE}}}"},
            "s",
            "At its worst in the last seconds; it should stay far below the deadlines.",
        ),
    ],
    "Cameras, memory and trust": [
        Panel(
            "Verdicts by purpose",
            {
                "{{purpose}}": "sum by (purpose) "
                f"(rate(secondlook_cloud_verdict_seconds_count{{{HERE}}}[5m]))"
            },
            "reqps",
            "Audits measure how often confident answers are wrong.",
        ),
        Panel(
            "Canvas updates",
            {
                "{{outcome}}": "sum by (outcome) "
                f"(rate(secondlook_cloud_canvas_updates_total{{{HERE}}}[5m]))",
                "decoders replaced": "sum(rate(secondlook_cloud_canvas_processes_replaced_total"
                f"{{{HERE}}}[5m]))",
            },
            "ops",
        ),
        Panel(
            "Trust of sites, and the context memory",
            {
                "certificates": "sum(increase(secondlook_cloud_memory_site_certificates_total"
                f"{{{HERE}}}[1h]))",
                "certifying failed": "sum(increase("
                f"secondlook_cloud_memory_certifying_failures_total{{{HERE}}}[1h]))",
                "forgetting failed": "sum(increase("
                f"secondlook_cloud_memory_forgetting_failures_total{{{HERE}}}[1h]))",
                "cache failed": "sum(increase(secondlook_cloud_cache_memory_failures_total"
                f"{{{HERE}}}[1h]))",
            },
        ),
    ],
}
