"""An edge as a process: writers on a local replica, and its replicator; every step is recorded.

::

    python -m support.history_edge '{"name": "edge1", "url": "grpc://...", "folder": "...", ...}'

It works until the file ``stop`` is there. Then it says with ``NAME.quiet`` that it has sent all it
has, and synchronises until the file ``settled`` is there.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.remote import RemoteStore
from secondlook.shared.memory.replication import ReplicationSettings, Replicator, SqliteReplica
from support.echo import echoing
from support.history import Recorder, RecordingStore
from support.history_work import Writer, rules

SETTINGS = ReplicationSettings(
    poll_s=0.3, gather_s=0.03, batch=32, backoff_initial_s=0.1, backoff_max_s=0.5
)


@dataclass(frozen=True)
class Edge:
    """What the process of an edge is to do.

    Attributes:
        name: of the process; a successor has another one, and the same file.
        file: of the local store.
        url: of the cloud's service.
        folder: where the history goes, and where the driver leaves its signs.
        seed: of its dice.
        writers: how many.
        operations: each does at least so many, and goes on until it is stopped.
        echoes: share of the pushed batches that arrive once more, later.
        pause_s: between two steps of a writer, on average.
    """

    name: str
    file: str
    url: str
    folder: str
    seed: int
    writers: int
    operations: int
    echoes: float = 0.1
    pause_s: float = 0.0

    def command(self) -> list[str]:
        """The command line of the process."""
        return [sys.executable, "-m", "support.history_edge", json.dumps(asdict(self))]

    @property
    def local(self) -> str:
        """What its store is called in the history."""
        return f"local {Path(self.file).name}"


async def run_edge(edge: Edge) -> None:
    """Work, synchronise, settle."""
    folder = Path(edge.folder)
    dice = random.Random(f"{edge.seed} {edge.name}")
    store = await SqliteStore.open(edge.file)
    remote = await RemoteStore.open(edge.url, timeout_s=2.0)
    try:
        with Recorder(folder / f"{edge.name}.history", edge.name) as recorder:
            async with echoing(remote, dice, edge.echoes) as echo:
                replica = await SqliteReplica.attach(store, rules=rules)
                replicator = Replicator(
                    replica,
                    RecordingStore(echo, recorder, "cloud"),
                    ("",),
                    SETTINGS,
                    writer=edge.name,
                )
                await _work(edge, RecordingStore(store, recorder, edge.local), replicator, dice)
                await _sync_until(replicator, lambda: True)
                (folder / f"{edge.name}.quiet").touch()
                await _sync_until(replicator, (folder / "settled").exists)
                assert await replica.parked() == []
    finally:
        await remote.close()
        await store.close()


async def _work(
    edge: Edge, local: RecordingStore, replicator: Replicator, dice: random.Random
) -> None:
    stop = Path(edge.folder) / "stop"

    async def one(number: int) -> None:
        name = f"{edge.name}-{number}"
        writer = Writer(name, local, random.Random(dice.random()), edge.pause_s)
        await writer.work(edge.operations, stop.exists)

    async with anyio.create_task_group() as around:
        around.start_soon(replicator.run)
        async with anyio.create_task_group() as writers:
            for number in range(edge.writers):
                writers.start_soon(one, number)
        around.cancel_scope.cancel()


async def _sync_until(replicator: Replicator, enough: Callable[[], bool]) -> None:
    """Passes until one leaves nothing behind that began when it was enough."""
    while True:
        last = enough()
        try:
            if (await replicator.sync()).waiting == 0 and last:
                return
        except SecondlookError:  # the driver heals the network in the end
            pass
        await anyio.sleep(0.05)


if __name__ == "__main__":
    anyio.run(run_edge, Edge(**json.loads(sys.argv[1])))
