"""Writes ``secondlook-cloud.json``, the Grafana dashboard of the cloud service.

``python deploy/grafana/generate_dashboard.py`` writes it, ``--check`` says whether it is fresh.
A dashboard is long and dull as JSON; here it is a list of panels, each with what it asks
Prometheus. `tests/unit/test_dashboards.py` holds every query against the real service.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from panels import Panel
from rows import ROWS

TARGET = Path(__file__).with_name("secondlook-cloud.json")
WIDTH = 24
"""Columns of a dashboard."""
HEIGHT = 7

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GUIDE = "https://github.com/secondlook/secondlook/tree/main/docs/guides/operations.md"


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        top += 1
        left = 0
        for panel in row:
            if left + panel.wide > WIDTH:
                left, top = 0, top + HEIGHT
            panels.append(_panel(panel, len(panels) + 1, left, top))
            left += panel.wide
        top += HEIGHT
    return {
        "uid": "secondlook-cloud",
        "title": "Secondlook cloud",
        "description": f"What each panel means, and what to do: {GUIDE}",
        "tags": ["secondlook"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.wide, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.extra}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend or "__auto"}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _variables() -> list[dict[str, Any]]:
    def chosen(name: str, query: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "includeAll": True,
            "multi": True,
            # Some panels tell what is of no model: they have an empty label, which `.*` matches.
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
            "refresh": 2,
        }

    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"},
        chosen("instance", "label_values(secondlook_cloud_window_loop_lag_seconds, instance)"),
        chosen("model", "label_values(secondlook_cloud_engine_queue_requests, model)"),
    ]


def main() -> int:
    """Write or check."""
    text = json.dumps(dashboard(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        fresh = TARGET.is_file() and TARGET.read_text() == text
        sys.stderr.write("" if fresh else f"{TARGET} is stale: run {Path(__file__).name}\n")
        return 0 if fresh else 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
