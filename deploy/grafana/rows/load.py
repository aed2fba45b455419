"""How much is asked, how long it takes, and what goes wrong."""

from __future__ import annotations

from panels import HERE, OF_MODEL, Panel

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
}
