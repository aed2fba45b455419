"""A server with less memory than its models need, in simulated time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from secondlook.cli.bench.prefetch.traces import Trace
from secondlook.cloud.prefetch import EVERY_S, Advice, Residency, When


@dataclass(frozen=True, slots=True)
class Server:
    """What is simulated.

    Attributes:
        room: how many units of memory there are.
        sizes: units that each model takes.
        load_s: seconds that each takes to load; one is loaded at a time.
    """

    room: float
    sizes: Mapping[str, float]
    load_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """How a policy did.

    Attributes:
        requests: how many.
        hit_rate: share of requests whose model was ready.
        mean_wait_s: for a model to be loaded, over all requests.
        p95_wait_s: likewise.
        p99_wait_s: likewise: the cold start.
        loads: in all.
        ahead: loads before anyone asked.
        wasted: of these, evicted before anyone asked.
    """

    requests: int
    hit_rate: float
    mean_wait_s: float
    p95_wait_s: float
    p99_wait_s: float
    loads: int
    ahead: int
    wasted: int


def simulate(trace: Trace, server: Server, policy: Residency) -> Result:
    """Serve a trace, from the first request on: what learning costs is counted."""
    return _Run(trace, server, policy).run()


class _Run:
    def __init__(self, trace: Trace, server: Server, policy: Residency) -> None:
        self._trace = trace
        self._server = server
        self._policy = policy
        self._now_s = 0.0
        self._resident: set[str] = set()
        self._unasked: set[str] = set()
        self._loading: str | None = None
        self._ready_s = math.inf
        self._ahead = False
        self._queue: deque[str] = deque()
        self._waiting: dict[str, list[float]] = {}
        self._waits: list[float] = []
        self._last_s = -math.inf
        self._loads = self._loads_ahead = self._wasted = 0

    def run(self) -> Result:
        for model in self._trace.models:
            self._policy.know(model, 0.0, self._server.load_s[model])
        tick_s = 0.0
        for at_s, model in self._trace.requests:
            while self._ready_s <= at_s or tick_s < at_s:
                if self._ready_s <= tick_s:
                    self._now_s = self._ready_s
                    self._loaded()
                else:
                    self._now_s = tick_s
                    tick_s += EVERY_S
                    self._next()
            self._now_s = at_s
            self._asked(model)
        while self._ready_s < math.inf:
            self._now_s = self._ready_s
            self._loaded()
        waits = np.array(self._waits)
        p95_s, p99_s = np.percentile(waits, (95, 99))
        return Result(
            requests=len(waits),
            hit_rate=float((waits == 0).mean()),
            mean_wait_s=float(waits.mean()),
            p95_wait_s=float(p95_s),
            p99_wait_s=float(p99_s),
            loads=self._loads,
            ahead=self._loads_ahead,
            wasted=self._wasted,
        )

    def _asked(self, model: str) -> None:
        self._policy.asked(model, self._now_s)
        self._last_s = self._now_s
        self._unasked.discard(model)
        if model in self._resident:
            self._wait(self._now_s)
            return
        waiting = self._waiting.setdefault(model, [])
        waiting.append(self._now_s)
        if model != self._loading and len(waiting) == 1:
            self._queue.append(model)
            self._next()

    def _wait(self, asked_s: float) -> None:
        self._waits.append(self._now_s - asked_s)

    def _loaded(self) -> None:
        model = self._loading
        assert model is not None
        self._loading, self._ready_s = None, math.inf
        self._resident.add(model)
        asked = self._waiting.pop(model, ())
        if self._ahead and not asked:
            self._unasked.add(model)
        for asked_s in asked:
            self._wait(asked_s)
        self._next()

    def _next(self) -> None:
        """Load what comes next, if the loader is free."""
        if self._loading is not None:
            return
        if self._queue:
            model = self._queue.popleft()
            self._make_room(model, None)
            self._load(model, ahead=False)
            return
        idle = self._now_s - self._last_s >= 1.0
        for advice in self._policy.advice(self._resident, self._now_s):
            if (advice.when is When.NOW or idle) and self._make_room(advice.model, advice.model):
                self._load(advice.model, ahead=True)
                return

    def _make_room(self, model: str, instead_of: str | None) -> bool:
        free = self._server.room - sum(self._server.sizes[m] for m in self._resident)
        leaving: list[str] = []
        while free < self._server.sizes[model]:
            candidates = [m for m in self._resident if m not in leaving]
            victim = self._policy.victim(candidates, self._now_s, instead_of)
            if victim is None:
                return False
            leaving.append(victim)
            free += self._server.sizes[victim]
        for victim in leaving:
            self._resident.remove(victim)
            if victim in self._unasked:
                self._unasked.remove(victim)
                self._wasted += 1
        return True

    def _load(self, model: str, *, ahead: bool) -> None:
        self._loading, self._ahead = model, ahead
        self._ready_s = self._now_s + self._server.load_s[model]
        self._loads += 1
        self._loads_ahead += ahead


class Oracle:
    """Knows the trace: loads what is asked for soonest, evicts what is asked for last."""

    def __init__(self, trace: Trace, reach_s: float = 60.0) -> None:
        self._times: dict[str, list[float]] = {}
        for at_s, model in trace.requests:
            self._times.setdefault(model, []).append(at_s)
        self._reach_s = reach_s

    def know(self, model: str, now_s: float, load_s: float) -> None:
        """See `Residency.know`."""

    def forget(self, model: str) -> None:
        """See `Residency.forget`."""

    def asked(self, model: str, now_s: float) -> None:
        """See `Residency.asked`."""

    def advice(self, resident: Collection[str], now_s: float) -> list[Advice]:
        """What is asked for within reach, soonest first."""
        coming = sorted((self._next_s(m, now_s), m) for m in self._times if m not in resident)
        return [
            Advice(model, 1.0, When.NOW) for at_s, model in coming if at_s <= now_s + self._reach_s
        ]

    def victim(
        self, candidates: Collection[str], now_s: float, instead_of: str | None = None
    ) -> str | None:
        """The one asked for last."""
        if not candidates:
            return None
        last = max(candidates, key=lambda model: self._next_s(model, now_s))
        if instead_of is not None and self._next_s(last, now_s) <= self._next_s(instead_of, now_s):
            return None
        return last

    def _next_s(self, model: str, now_s: float) -> float:
        times = self._times[model]
        place = bisect_right(times, now_s)
        return times[place] if place < len(times) else math.inf
