"""Shares the local store with the cloud, over a connection of its own.

Its own, because bytes of the memory must not stand in the way of a question: on one connection
they would queue before it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from secondlook.edge.memory.meter import MemoryMeter
from secondlook.edge.memory.settings import MemorySettings, Scope
from secondlook.edge.uplink.channel import channel_credentials, open_channel
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.shared.clock import Clock
from secondlook.shared.errors import SecondlookError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import DEFAULT_SITE
from secondlook.shared.memory.remote import RemoteStore
from secondlook.shared.memory.replication import Replicator, SqliteReplica
from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust import SITE_CAMERA

_log = get_logger(__name__)

_LAST_S = 5.0
"""Longest last synchronisation when the daemon stops."""


class Sharing:
    """The replicator of a daemon. Opened with `opened`.

    Args:
        replicator: it.
        meter: is told how far both sides are apart.
    """

    def __init__(self, replicator: Replicator, meter: MemoryMeter) -> None:
        self._replicator = replicator
        self._meter = meter

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        store: SqliteStore,
        settings: MemorySettings,
        uplink: UplinkSettings,
        cameras: Iterable[str],
        clock: Clock,
        meter: MemoryMeter,
    ) -> AsyncIterator[Sharing]:
        """Share ``store`` while the block runs and `run` is running.

        Raises:
            InvalidConfig: a certificate cannot be read.
            StoreError: the store failed.
        """
        replica = await SqliteReplica.attach(store, clock=clock)
        credentials = await anyio.to_thread.run_sync(channel_credentials, uplink)
        channel = open_channel(uplink, credentials, own_connection=True)
        try:
            remote = RemoteStore(channel, timeout_s=uplink.timeout_s)
            yield cls(
                Replicator(
                    replica,
                    remote,
                    shared_prefixes(cameras, settings.scope),
                    settings.sync,
                    clock=clock,
                    writer=settings.writer(),
                ),
                meter,
            )
            await remote.close()
        finally:
            with anyio.CancelScope(shield=True):
                await channel.close()

    async def run(self) -> None:
        """Synchronise until cancelled."""
        await self._replicator.run()

    def wake(self) -> None:
        """Something was written: the cloud should have it soon."""
        self._replicator.wake()

    async def last(self) -> None:
        """Synchronise once more, within a bounded time."""
        with anyio.move_on_after(_LAST_S) as bound:
            try:
                await self._replicator.sync()
            except SecondlookError as error:
                _log.warning("the cloud lacks what is new in the memory", error=str(error))
        if bound.cancelled_caught:
            _log.warning("the cloud lacks what is new in the memory: it took too long")
        await self.tell()

    async def tell(self) -> None:
        """Count how far both sides are apart."""
        self._meter.synced(await self._replicator.status())


def shared_prefixes(cameras: Iterable[str], scope: Scope) -> tuple[str, ...]:
    """What ids of shared records begin with: the sites, or the cameras and what sites certify."""
    places = [camera if "/" in camera else f"{DEFAULT_SITE}/{camera}" for camera in cameras]
    sites = [place.partition("/")[0] for place in places]
    places = sites if scope == "site" else [*places, *(f"{site}/{SITE_CAMERA}" for site in sites)]
    return tuple(f"{place}/" for place in dict.fromkeys(places))
