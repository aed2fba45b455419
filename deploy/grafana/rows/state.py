"""What protects and what saves: breakers, verdict cache."""

from __future__ import annotations

from panels import HERE, OF_MODEL, SHARE, STATES, Panel, ratio

ROWS: dict[str, list[Panel]] = {
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
}
