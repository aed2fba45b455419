"""Logs, metrics and traces."""

from secondlook.shared.telemetry.logs import LogSettings, bind, configure_logging, get_logger
from secondlook.shared.telemetry.metrics import serve_metrics
from secondlook.shared.telemetry.quick import QuickCounter, QuickHistogram
from secondlook.shared.telemetry.tracing import extract, inject, tracer, tracing

__all__ = [
    "LogSettings",
    "QuickCounter",
    "QuickHistogram",
    "bind",
    "configure_logging",
    "extract",
    "get_logger",
    "inject",
    "serve_metrics",
    "tracer",
    "tracing",
]
