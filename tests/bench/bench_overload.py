"""Overload: three times what the model can do, and one tenant that floods.

A real convolutional network in ONNX Runtime on one thread, behind the batcher, in this process
(``--device timer``: a device that takes ``--service-ms`` a row whatever else the machine does, to
tell the discipline apart from a busy machine):

- ``capacity``: callers that always have a question, no more than can wait; answers a second;
- ``overload``: questions at random (Poisson) at ``--load`` times capacity, from three tenants,
  each with a deadline: answers in time a second, p99 of what was let in, what was refused, what was
  let in and came too late, what got no answer at all, growth of memory;
- ``flood``: a calm tenant at a third of capacity, beside a neighbour that asks for half of it, and
  then for ``--load`` times of it: p99 of the calm one in either.

The machine's speed drifts, so that the parts take turns and their medians are compared. Where it is
so busy that this process stands still as a whole, what was let in before is late whatever the
discipline: each stall that the event loop sees is noted, and what is late is told apart by whether
there was one while it waited.

    python tests/bench/bench_overload.py [--seconds 20] [--load 3] [--deadline-ms 250] [--side 96]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import anyio
import numpy as np
import psutil
from prometheus_client import CollectorRegistry
from support.devices import ConvNet, Timer

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.batching import TENSORS, Batcher, Instance, Policy, TensorInput
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import DeadlineExceeded, Overloaded

CLOCK = SystemClock()

STALL_S = 0.03
"""The event loop does not get on for so long: a stall."""


@dataclass
class Heard:
    """What a tenant heard."""

    waits_s: list[float] = field(default_factory=list)
    refused: int = 0
    late: int = 0
    late_in_stall: int = 0
    asked: int = 0

    def p(self, share: float) -> float:
        """Of all that was let in; what came too late took for ever."""
        waits_s = [*sorted(self.waits_s), *[math.inf] * self.late]
        return waits_s[min(len(waits_s) - 1, int(share * len(waits_s)))] if waits_s else math.nan

    @property
    def unanswered(self) -> int:
        return self.asked - len(self.waits_s) - self.refused - self.late

    def add(self, other: Heard) -> None:
        self.waits_s += other.waits_s
        self.refused += other.refused
        self.late += other.late
        self.late_in_stall += other.late_in_stall
        self.asked += other.asked


class Bench:
    def __init__(self, batcher: Batcher, shape: tuple[int, ...], deadline_s: float) -> None:
        self.batcher = batcher
        self.deadline_s = deadline_s
        self.payload = TensorInput({"x": np.zeros((1, *shape), np.float32)})
        self.stalls_s: list[float] = []
        self.stalled_at_s = -math.inf

    async def watch(self) -> None:
        """Note when the event loop does not get on."""
        while True:
            begun_s = time.monotonic()
            await asyncio.sleep(STALL_S / 10)
            over_s = time.monotonic() - begun_s - STALL_S / 10
            if over_s > STALL_S:
                self.stalls_s.append(over_s)
                self.stalled_at_s = time.monotonic()

    def busy_s(self) -> float:
        """Seconds that the network has run so far."""
        return sum(spent.ns for spent in self.batcher.statistics.batches.values()) / 1e9

    async def one(self, heard: Heard, tenant: str, deadline_s: float | None = None) -> None:
        heard.asked += 1
        begun_s = time.monotonic()
        asked = Ask(Deadline(begun_s + (deadline_s or self.deadline_s)), tenant=tenant)
        try:
            await self.batcher.submit(TENSORS, self.payload, asked)
        except Overloaded:
            heard.refused += 1
        except DeadlineExceeded:
            heard.late += 1
            # The one that watches gets its turn before this stall is judged.
            await asyncio.sleep(STALL_S / 5)
            heard.late_in_stall += self.stalled_at_s > begun_s
        else:
            heard.waits_s.append(time.monotonic() - begun_s)

    async def capacity(self, seconds: float, callers: int = 8) -> float:
        """Answers a second where somebody always asks."""
        heard = Heard()
        end_s = time.monotonic() + seconds

        async def caller() -> None:
            while time.monotonic() < end_s:
                await self.one(heard, "all", 60.0)

        begun_s = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return len(heard.waits_s) / (time.monotonic() - begun_s)

    async def open_load(
        self, rates: dict[str, float], seconds: float, part: int
    ) -> dict[str, Heard]:
        """Questions at random, whether or not there are answers."""
        heard = {tenant: Heard() for tenant in rates}

        async def tenant(name: str, per_s: float) -> None:
            rng = random.Random(f"{name} {part}")
            at_s = time.monotonic()
            end_s = at_s + seconds
            async with anyio.create_task_group() as tasks:
                while at_s < end_s:
                    at_s += rng.expovariate(per_s)
                    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                    tasks.start_soon(self.one, heard[name], name)

        await asyncio.gather(*(tenant(name, rate) for name, rate in rates.items()))
        return heard


async def main(args: argparse.Namespace) -> None:
    if args.device == "timer":
        network: ConvNet = Timer(args.side, args.max_batch, args.service_ms / 1000)
    else:
        network = ConvNet(args.side, args.max_batch)
    network.warm_up()
    begun_s, runs = time.monotonic(), 0
    while time.monotonic() - begun_s < 1:
        network.warm_up()
        runs += 1
    print(f"bare session.run: {runs / (time.monotonic() - begun_s):.0f}/s")
    policy = Policy(max_batch=args.max_batch, max_queue=args.max_queue)
    batcher = Batcher(
        "conv", "1", [Instance.of(network)], policy, metrics=EngineMetrics(CollectorRegistry())
    )
    batcher.start()
    bench = Bench(batcher, network.shape, args.deadline_ms / 1000)
    watching = asyncio.ensure_future(bench.watch())
    await bench.capacity(1)
    rounds = max(2, args.seconds // 10)
    part_s = args.seconds / rounds
    capacities, goodputs, busy = [], [], []
    total = Heard()
    memory = []
    for part in range(rounds):
        capacities.append(await bench.capacity(part_s / 4))
        per_tenant = args.load * capacities[-1] / 3
        begun_s, ran_s = time.monotonic(), bench.busy_s()
        heard = await bench.open_load({f"t{n}": per_tenant for n in range(3)}, part_s, part)
        goodputs.append(sum(len(h.waits_s) for h in heard.values()) / (time.monotonic() - begun_s))
        busy.append((bench.busy_s() - ran_s) / (time.monotonic() - begun_s))
        for h in heard.values():
            total.add(h)
        memory.append(psutil.Process().memory_info().rss / 2**20)
    capacities.append(await bench.capacity(part_s / 4))
    around = [(a + b) / 2 for a, b in itertools.pairwise(capacities)]
    ratios = [good / capacity for good, capacity in zip(goodputs, around, strict=True)]
    accepted = len(total.waits_s) + total.late
    print(
        f"overload {args.load:.1f}x for {args.seconds} s, deadline {args.deadline_ms} ms, "
        f"largest batch {args.max_batch}\n"
        f"  capacity {statistics.median(capacities):.0f}/s "
        f"({min(capacities):.0f} to {max(capacities):.0f}), "
        f"goodput {statistics.median(goodputs):.0f}/s: {statistics.median(ratios):.1%} "
        f"(each part: {', '.join(f'{ratio:.0%}' for ratio in ratios)}), "
        f"the device runs {statistics.median(busy):.0%} of the time\n"
        f"  asked {total.asked}, let in {accepted}, too late {total.late} "
        f"({total.late / max(1, accepted):.2%} of let in; {total.late_in_stall} in a stall), "
        f"refused {total.refused}, unanswered {total.unanswered}\n"
        f"  let in: p50 {total.p(0.5) * 1e3:.0f} ms, p99 {total.p(0.99) * 1e3:.0f} ms, "
        f"margin {batcher._dispatch.admission.most_margin():.2f}\n"
        f"  memory after each part: {', '.join(f'{m:.0f}' for m in memory)} MiB"
    )
    print(
        f"  stalls of the whole process over {STALL_S * 1e3:.0f} ms: {len(bench.stalls_s)}, "
        f"{sum(bench.stalls_s):.1f} s together, longest {max(bench.stalls_s, default=0):.2f} s"
    )
    calm = {"beside a calm neighbour": Heard(), "beside a flood": Heard()}
    for part in range(rounds):
        capacity = await bench.capacity(part_s / 4)
        for name, rate in (
            ("beside a calm neighbour", capacity / 2),
            ("beside a flood", args.load * capacity),
        ):
            heard = await bench.open_load({"calm": capacity / 3, "neighbour": rate}, part_s, part)
            calm[name].add(heard["calm"])
            lost = heard["calm"].refused + heard["calm"].late
            print(
                f"  calm tenant {name}: p50 {heard['calm'].p(0.5) * 1e3:.1f} ms, "
                f"p99 {heard['calm'].p(0.99) * 1e3:.1f} ms, "
                f"{lost} of {heard['calm'].asked} lost; neighbour: "
                f"{len(heard['neighbour'].waits_s)} of {heard['neighbour'].asked} answered"
            )
    before, after = (heard.p(0.99) for heard in calm.values())
    print(f"flood: p99 of the calm tenant x{after / before:.2f}")
    watching.cancel()
    await batcher.drain()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--load", type=float, default=3.0)
    parser.add_argument("--deadline-ms", type=float, default=250.0)
    parser.add_argument("--device", choices=["cpu", "timer"], default="cpu")
    parser.add_argument("--service-ms", type=float, default=5.0)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument("--max-queue", type=int, default=256)
    asyncio.run(main(parser.parse_args()))
