"""What the batcher costs: CPU and wake-ups of a request, beside the least that could work.

The same lane, which answers at once, behind four ways to it, in one process and in turns:

- ``call``: the lane, called on the event loop: the floor;
- ``bare``: a thread that takes whatever has queued in a `queue.SimpleQueue`, and one
  `call_soon_threadsafe` for each batch: no deadline, no bound, no order, no fault contained;
- ``batcher``: the batcher, through its thread;
- ``at once``: the batcher, where the network is quicker than a thread.

CPU is that of the process, all threads; ``switches`` are voluntary ones: somebody was woken.

    python tests/bench/bench_batcher.py [--requests 20000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import queue
import resource
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop
from prometheus_client import CollectorRegistry
from support.batching import SAY, Say

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.batching import Batcher, Instance, Policy
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.shared.clock import Deadline, SystemClock

CLOCK = SystemClock()
MAX_BATCH = 16


class Lane:
    """Answers at once."""

    def key(self, payload: Say) -> None:
        return None

    def rows(self, payload: Say) -> int:
        return 1

    def run(self, payloads: list[Say]) -> list[Any]:
        return [payload.word for payload in payloads]


class Bare:
    """A queue and a thread."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def ask(self, payload: Say) -> Any:
        future = self._loop.create_future()
        self._queue.put((payload, future))
        return await future

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:  # noqa: PERF203 - the queue says it in no other way
                    break
            answers = self._lane.run([payload for payload, _ in batch])
            self._loop.call_soon_threadsafe(self._deliver, batch, answers)

    @staticmethod
    def _deliver(batch: list[Any], answers: list[Any]) -> None:
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)


async def measure(
    ask: Callable[[Say], Awaitable[Any]], callers: int, requests: int
) -> tuple[float, float, float]:
    """Microseconds of CPU, of time, and switches, for each request."""

    async def caller(count: int) -> None:
        for n in range(count):
            await ask(Say(n))

    before, cpu_s, begun_s = (
        resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw,
        time.process_time(),
        time.monotonic(),
    )
    await asyncio.gather(*(caller(requests // callers) for _ in range(callers)))
    done = requests // callers * callers
    return (
        (time.process_time() - cpu_s) / done * 1e6,
        (time.monotonic() - begun_s) / done * 1e6,
        (resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before) / done,
    )


async def main(args: argparse.Namespace) -> None:
    lane = Lane()
    bare = Bare(lane)
    batchers = [
        Batcher(
            "bench",
            "1",
            [Instance({SAY: lane}, here=here)],
            Policy(max_batch=MAX_BATCH, max_queue=1024),
            metrics=EngineMetrics(CollectorRegistry()),
        )
        for here in (False, True)
    ]
    for batcher in batchers:
        batcher.start()

    async def call(payload: Say) -> Any:
        return lane.run([payload])[0]

    def through(batcher: Batcher) -> Callable[[Say], Awaitable[Any]]:
        async def ask(payload: Say) -> Any:
            asked = Ask(Deadline.after(5.0, CLOCK), tenant="t", camera="c")
            return (await batcher.submit(SAY, payload, asked))[0]

        return ask

    ways = {
        "call": call,
        "bare": bare.ask,
        "batcher": through(batchers[0]),
        "at once": through(batchers[1]),
    }
    print(f"{'callers':>7}  {'way':8} {'CPU us':>8} {'over call':>9} {'us':>7} {'switches':>8}")
    for callers in (1, 8, 32, 200):
        seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, ask in ways.items():
                seen[name].append(await measure(ask, callers, args.requests))
        middle = {
            name: [statistics.median(column) for column in zip(*rows, strict=True)]
            for name, rows in seen.items()
        }
        floor = middle["call"][0]
        for name, (cpu, wall, switches) in middle.items():
            print(
                f"{callers:7}  {name:8} {cpu:8.1f} {cpu - floor:9.1f} {wall:7.1f} {switches:8.2f}"
            )
    bare.close()
    for batcher in batchers:
        await batcher.drain()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    uvloop.install()
    asyncio.run(main(parser.parse_args()))
