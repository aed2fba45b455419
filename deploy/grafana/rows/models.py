"""What is served: versions, variants, and models in memory."""

from __future__ import annotations

from panels import HERE, OF_MODEL, SHARE, Panel, ratio

ROWS: dict[str, list[Panel]] = {
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
}
