from opentelemetry import trace

from secondlook.shared.telemetry import extract, inject


def test_a_trace_crosses_the_wire() -> None:
    context = trace.SpanContext(
        trace_id=0x1234, span_id=0x56, is_remote=False, trace_flags=trace.TraceFlags(1)
    )
    with trace.use_span(trace.NonRecordingSpan(context)):
        metadata = inject((("kept", "x"),))
    assert metadata[0] == ("kept", "x")
    arrived = trace.get_current_span(extract((*metadata, ("raw-bin", b"\x00")))).get_span_context()
    assert (arrived.trace_id, arrived.span_id, arrived.is_remote) == (0x1234, 0x56, True)


def test_no_trace_adds_nothing_and_garbage_is_ignored() -> None:
    assert inject() == ()
    garbled = extract((("traceparent", "garbage"),))
    assert not trace.get_current_span(garbled).get_span_context().is_valid
