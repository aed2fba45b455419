"""OpenTelemetry spans over both tiers. Without an SDK (the ``otel`` extra) all of it is a no-op."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import propagate, trace
from opentelemetry.context import Context

_NOWHERE = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)

Metadata = tuple[tuple[str, str], ...]


def tracer(name: str) -> trace.Tracer:
    """The tracer of a module."""
    return trace.get_tracer(name)


def tracing() -> bool:
    """Whether spans go anywhere: an SDK has set a provider."""
    return not isinstance(trace.get_tracer_provider(), _NOWHERE)


def inject(metadata: Metadata = ()) -> Metadata:
    """gRPC metadata with the current trace context added (W3C ``traceparent``)."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return metadata + tuple(carrier.items())


def extract(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """The trace context that the other side sent."""
    return propagate.extract({k: v for k, v in metadata if isinstance(v, str)})
