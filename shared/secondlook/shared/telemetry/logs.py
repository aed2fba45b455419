"""Structured logs: an event, and fields. structlog does the work; this is how we set it up."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog
from pydantic import Field

from secondlook.shared.settings import Section

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]


class LogSettings(Section):
    """How a process logs, on standard error."""

    level: Level = Field("info", description="Least severe events that are written.")
    format: Format = Field("console", description="Text for people, or JSON lines for machines.")


def configure_logging(level: Level = "info", format: Format = "console") -> None:  # noqa: A002 - the setting's name
    """Set up logging for this process; writes to standard error, so that output stays clean."""
    renderer: structlog.typing.Processor
    if format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry ``module=name``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Add fields (a request id, a camera) to all events logged inside, in this task."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
