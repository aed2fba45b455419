"""Between the pipelines and the sinks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry
from support.edge import MemorySink, picture, seen

from secondlook.edge.sinks import Event, Outlets
from secondlook.shared.values import FrameRef, Observation

pytestmark = pytest.mark.anyio


def _event(sequence: int) -> Event:
    return Event(
        Observation(FrameRef("gate", sequence, 0.0, 0.0, 320, 240), seen()), 0.0, picture()
    )


def _sequences(sink: MemorySink) -> list[int]:
    return [event.observation.frame.sequence for event in sink.events]


class SlowSink(MemorySink):
    """Writes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__(name="slow")
        self.let = threading.Event()
        self.begun = threading.Event()

    def write(self, events: Sequence[Event]) -> None:
        self.begun.set()
        self.let.wait(20)
        super().write(events)


async def test_every_sink_gets_every_event_in_order_and_is_closed() -> None:
    sinks = [MemorySink(name="a"), MemorySink(name="b", images=True)]
    outlets = Outlets(sinks, 100, CollectorRegistry())
    assert outlets.want_images
    async with outlets.running():
        for n in range(90):
            outlets.put(_event(n))
    assert [_sequences(sink) for sink in sinks] == [list(range(90))] * 2
    assert all(sink.closed for sink in sinks)
    assert sinks[0].events[0].image is None
    assert sinks[1].events[0].image is not None


async def test_a_slow_sink_loses_its_oldest_events_and_holds_up_nobody() -> None:
    registry, slow, fast = CollectorRegistry(), SlowSink(), MemorySink(name="fast")
    outlets = Outlets([slow, fast], 4, registry)
    async with outlets.running():
        outlets.put(_event(0))
        await anyio.to_thread.run_sync(slow.begun.wait, 20)
        for n in range(1, 10):
            outlets.put(_event(n))
        slow.let.set()
    assert _sequences(slow) == [0, 6, 7, 8, 9]
    dropped = registry.get_sample_value("secondlook_edge_sink_dropped_total", {"sink": "slow"})
    assert dropped == 5


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError("no")])
async def test_a_failing_sink_is_counted_and_hurts_no_other(error: Exception) -> None:
    registry, bad, good = CollectorRegistry(), MemorySink(name="bad"), MemorySink(name="good")
    bad.error = error
    outlets = Outlets([bad, good], 100, registry)
    async with outlets.running():
        for n in range(5):
            outlets.put(_event(n))
    assert _sequences(good) == list(range(5))
    failed = registry.get_sample_value("secondlook_edge_sink_failed_total", {"sink": "bad"})
    assert failed == 5


async def test_what_was_said_is_written_also_when_the_daemon_breaks() -> None:
    sink = MemorySink()
    outlets = Outlets([sink], 100, CollectorRegistry())

    async def breaking() -> None:
        async with outlets.running():
            outlets.put(_event(1))
            raise RuntimeError("broken")

    with pytest.raises(BaseException) as caught:
        await breaking()
    assert "broken" in repr(caught.value)
    assert _sequences(sink) == [1]
    assert sink.closed
