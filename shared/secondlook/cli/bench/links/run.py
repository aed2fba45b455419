"""Both tiers as processes of their own, an emulated link between them, for some minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
import psutil

from secondlook.cli.bench.links.heard import Heard, Log, Scrape, read_log, scrape
from secondlook.cli.bench.links.plan import Plan, cloud_settings, edge_settings
from secondlook.cli.demo.processes import Tier, running, whole_lines
from secondlook.cli.trust.gathering import Standing, gather
from secondlook.shared.clock import SystemClock
from secondlook.shared.measure import LinkProxy, Passed, Traffic
from secondlook.shared.memory import open_store

_SCRAPE_S = 2.0
_START_S = 60.0
"""After this long a run begins, also where not all cameras have answered a frame."""


@dataclass(frozen=True, slots=True)
class CpuUsed:
    """Processor time so far, user and system, of both tiers with all their processes.

    Attributes:
        at_s: when, seconds since the link began.
        edge_s, cloud_s: of each tier.
    """

    at_s: float
    edge_s: float
    cloud_s: float


@dataclass(slots=True)
class Recorded:
    """What was seen of a run.

    Attributes:
        plan: what was run.
        heard: the edge's events.
        log: the edge's log.
        scraped: its metrics, as they were just before it was told to end.
        held: questions on disk over time: seconds since the link began, and how many.
        cpu: processor time that the edge and the cloud had used, over time.
        up, down: bytes on the wire and when, seconds since the link began.
        traffic: their sums, and connections.
        began_s: when all cameras had answered a frame, on that clock.
        began_at: the same, seconds since the Unix epoch.
        ended_s: when they were told to end.
        standings: the trust of each camera, from the edge's memory.
        left: questions that still wait on disk at the very end.
    """

    plan: Plan
    heard: Heard
    log: Log
    scraped: Scrape
    held: list[tuple[float, int]]
    cpu: list[CpuUsed]
    up: list[Passed]
    down: list[Passed]
    traffic: Traffic
    began_s: float
    began_at: float
    ended_s: float
    standings: dict[str, Standing]
    left: int


async def play(plan: Plan, scratch: Path, on_time: Callable[[float, str], None]) -> Recorded:
    """Run a plan.

    Args:
        plan: what is run.
        scratch: an empty folder for settings, logs, and what the edge keeps.
        on_time: called now and then with the seconds that have passed, and a word on how it is.

    Raises:
        Unavailable: a process could not start or failed.
    """
    cloud_file, edge_file = scratch / "cloud.toml", scratch / "edge.toml"
    await anyio.Path(cloud_file).write_text(cloud_settings(plan))
    heard = Heard()
    link = plan.link
    # Until the cameras run it is whole: its outage is counted from then on.
    whole = replace(link, down_from_s=None, down_for_s=0.0)
    async with (
        running(["cloud", "serve", "--config", str(cloud_file)], scratch) as cloud,
        LinkProxy("127.0.0.1", int(cloud.ready["port"]), whole, seed=plan.seed).running() as proxy,
    ):
        await anyio.Path(edge_file).write_text(edge_settings(plan, proxy.target, scratch))
        edge_run = ["edge", "run", "--config", str(edge_file), "--no-progress"]
        async with running(edge_run, scratch, pipe=True) as edge:
            watch = _Watch(plan, edge, cloud, proxy, heard, on_time)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.until_the_end)
                assert edge.process.stdout is not None
                async for line in whole_lines(edge.process.stdout):
                    heard.take(line)
                    if len(heard.cameras) == len(plan.cameras):
                        watch.started.set()
                tasks.cancel_scope.cancel()
            if await edge.process.wait() != 0 or watch.last is None:
                raise await edge.failure()
        up, down, traffic = list(proxy.sent_up), list(proxy.sent_down), proxy.traffic
    return Recorded(
        plan,
        heard,
        read_log((await anyio.Path(edge.log).read_text(errors="replace")).splitlines()),
        watch.last,
        watch.held,
        watch.cpu,
        up,
        down,
        traffic,
        watch.began_s,
        watch.began_at,
        watch.ended_s,
        await _standings(scratch / "memory.db"),
        len(await anyio.to_thread.run_sync(lambda: list((scratch / "spool").glob("*.question")))),
    )


class _Watch:
    """Begins when all cameras have answered, looks at the metrics, ends the edge in time."""

    def __init__(
        self,
        plan: Plan,
        edge: Tier,
        cloud: Tier,
        proxy: LinkProxy,
        heard: Heard,
        on_time: Callable[[float, str], None],
    ) -> None:
        self._plan = plan
        self._edge = edge
        self._cloud = cloud
        self._proxy = proxy
        self._heard = heard
        self._on_time = on_time
        self.started = anyio.Event()
        self.last: Scrape | None = None
        self.held: list[tuple[float, int]] = []
        self.cpu: list[CpuUsed] = []
        self.began_s = self.began_at = self.ended_s = 0.0

    async def until_the_end(self) -> None:
        with anyio.move_on_after(_START_S):
            await self.started.wait()
        link = self._plan.link
        self.began_s, self.began_at = self._proxy.time_s, SystemClock().wall()
        if link.down_from_s is not None:
            self._proxy.cut_for(link.down_for_s, link.down_from_s)
        port = int(self._edge.ready["metrics_port"])
        while True:
            passed_s = self._proxy.time_s - self.began_s
            left_s = self._plan.seconds - passed_s
            self.last = await anyio.to_thread.run_sync(scrape, port)
            spooled = int(self.last.value("spool_questions"))
            self.held.append((self._proxy.time_s, spooled))
            used = [_cpu_s(tier.process.pid) for tier in (self._edge, self._cloud)]
            self.cpu.append(CpuUsed(self._proxy.time_s, *used))
            kb = self._proxy.traffic.up / 1000
            down = "  link down" if self._proxy.link.is_down(self._proxy.time_s) else ""
            said = f"{self._heard.answers} answers, {kb:.0f} KB up, {spooled} on disk{down}"
            self._on_time(max(0.0, passed_s), said)
            if left_s <= 0:
                break
            await anyio.sleep(min(_SCRAPE_S, left_s))
        self.ended_s = self._proxy.time_s
        self._edge.process.terminate()


def _cpu_s(pid: int) -> float:
    """Processor time of a process and its children so far, seconds."""
    used = 0.0
    try:
        whole = psutil.Process(pid)
        for process in (whole, *whole.children(recursive=True)):
            times = process.cpu_times()
            used += times.user + times.system
    except psutil.NoSuchProcess:
        # One has just ended: the next look tells.
        pass
    return used


async def _standings(file: Path) -> dict[str, Standing]:
    """The trust of the cameras, as the edge wrote it down."""
    store = await open_store(f"sqlite:///{file}")
    try:
        found = await gather(store, "", SystemClock().wall())
    finally:
        await store.close()
    return {one.name.rpartition("/")[2]: one for one in found.standings}
