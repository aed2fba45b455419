"""What the service runs on and for: the machine, cameras, memory, trust."""

from __future__ import annotations

from panels import HERE, SHARE, Panel

ROWS: dict[str, list[Panel]] = {
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
