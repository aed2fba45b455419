"""Keeps applications for the processes in front, of which there are any number.

One actor of the cluster, found by its name, belongs to all of them. It knows who needs which
application, lets one of them deploy what is not there, and deletes what nobody needs any more. A
process in front that dies without a word holds its leases until they run out, and no longer. An
actor that dies is started again by Ray: it finds what runs, and gives those in front the time of
a lease to say what they need of it.

What is deployed again has another name than before: routers of Ray Serve do not forget that an
application of theirs was deleted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from secondlook.cloud.engine.ray.leases import Leases
from secondlook.cloud.engine.ray.reports import Report, Reports
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import Unavailable
from secondlook.shared.telemetry import get_logger

_NOBODY = ""
"""Holds what was found running, until those who need it have said so."""

AGAIN_S = 10.0
"""Wait before what could not be deleted is deleted again, seconds."""


class Applications(Protocol):
    """What runs on the cluster."""

    async def names(self) -> Sequence[str]:
        """Those of ours that run or are about to."""
        ...

    async def delete(self, name: str) -> None:
        """Delete one, and wait until it is gone.

        Raises:
            Unavailable: it is not gone yet.
        """
        ...


@dataclass(slots=True)
class _Deployed:
    """An application, once deployed under a name of its own.

    Attributes:
        name: as Ray Serve knows it.
        by: who deploys it.
        up: whether that is done.
        changed: set when it is, or when it will not be.
    """

    name: str
    by: str
    up: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Keeper:
    """The actor. Every method runs in its event loop.

    Args:
        applications: what runs.
        grace_s: how long what is found running is kept for nobody.
        clock: of the leases.
    """

    def __init__(
        self, applications: Applications, grace_s: float, clock: Clock | None = None
    ) -> None:
        self._applications = applications
        self._grace_s = grace_s
        self._clock = clock or SystemClock()
        self._leases = Leases()
        self._reports = Reports()
        self._known: dict[str, _Deployed] = {}
        self._looked: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deleting: set[asyncio.Task[None]] = set()
        # Whoever is slow to deploy one of them may come to say so long after.
        self._deleted: deque[str] = deque(maxlen=1000)

    async def hold(self, application: str, holder: str, for_s: float) -> tuple[str, bool]:
        """Keep it for ``holder``. While another one deploys it, wait for that.

        Returns:
            The name that it has, and whether the holder is to deploy it under that name, and then
            to say `deployed`; else it is there.

        Raises:
            Unavailable: the lease ended while it waited.
        """
        await self._begun()
        self._leases.hold(application, holder, self._clock.monotonic() + for_s)
        self._arm()
        while self._leases.holds(application, holder):
            known = self._known.get(application)
            if known is None:
                known = _Deployed(f"{application}-{uuid4().hex[:6]}", holder)
                self._known[application] = known
            if known.up or known.by == holder:
                return known.name, not known.up
            await known.changed.wait()
        raise Unavailable(f"{application} is no longer held")

    async def deployed(self, application: str, name: str, holder: str, for_s: float) -> bool:
        """It is there, under that name: others may use it.

        Returns:
            Whether it stays; it does not where the lease had run out before.
        """
        await self._begun()
        known = self._known.get(application)
        if name in self._deleted or (known is not None and known.name != name):
            self._delete(name)
            return False
        if known is None:
            # The actor has died meanwhile, and this one has not seen it.
            known = self._known[application] = _Deployed(name, holder)
        self._leases.hold(application, holder, self._clock.monotonic() + for_s)
        known.up = True
        known.changed.set()
        self._arm()
        return True

    async def lost(self, application: str, name: str) -> None:
        """It is not there under that name, other than said: who asks next is to deploy it."""
        known = self._known.get(application)
        if known is not None and known.name == name and known.up:
            self._forget(application)

    async def renew(self, held: Iterable[tuple[str, str, str]], for_s: float) -> list[str]:
        """Hold all these applications for another while.

        Args:
            held: applications, their names (empty: not known yet), and who holds them.
            for_s: how long.

        Returns:
            The holders of those that are not there any more: their leases have run out.
        """
        await self._begun()
        lapsed = []
        until_s = self._clock.monotonic() + for_s
        for application, name, holder in held:
            known = self._known.get(application)
            if known is None or name not in ("", known.name):
                lapsed.append(holder)
            else:
                self._leases.hold(application, holder, until_s)
        self._arm()
        return lapsed

    async def release(self, application: str, holder: str, linger_s: float = 0.0) -> None:
        """It is not needed by ``holder`` any more; deleted, after a while, if by nobody else."""
        await self._begun()
        if linger_s > 0 and self._leases.holds(application, holder):
            self._leases.hold(application, holder, self._clock.monotonic() + linger_s)
        else:
            self._leases.release(application, holder)
            self._settle(application)
        self._arm()

    async def report(self, report: Report) -> None:
        """What a replica says about itself."""
        self._reports.add(report, self._clock.monotonic())

    async def told(self, names: Sequence[str]) -> list[Report]:
        """What the replicas of the applications of these names have said lately."""
        return self._reports.of(names, self._clock.monotonic())

    async def _begun(self) -> None:
        if self._looked is None or (self._looked.done() and self._looked.exception()):
            self._looked = asyncio.ensure_future(self._look())
        # Who asks may go away; all the others need it.
        await asyncio.shield(self._looked)

    async def _look(self) -> None:
        for name in await self._applications.names():
            application = name.rpartition("-")[0]
            if application in self._known:
                # One of the two was about to go; who needs it gets the other one.
                self._delete(name)
                continue
            self._known[application] = _Deployed(name, _NOBODY, up=True)
            self._leases.hold(application, _NOBODY, self._clock.monotonic() + self._grace_s)
        self._arm()

    def _arm(self) -> None:
        """Wake when the next lease runs out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        end_s = self._leases.next_end_s()
        if end_s is not None:
            wait_s = max(0.0, end_s - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._lapse)

    def _lapse(self) -> None:
        for application in self._leases.lapse(self._clock.monotonic()):
            self._settle(application)
        self._arm()

    def _settle(self, application: str) -> None:
        """Somebody needs it no more."""
        known = self._known.get(application)
        if known is None:
            return
        # Nobody needs it, or whoever was to deploy it has gone: then it is another one's turn.
        if not self._leases.held(application) or (
            not known.up and not self._leases.holds(application, known.by)
        ):
            self._forget(application)
        elif not known.up:
            # One of those who wait may have been given up.
            known.changed.set()
            known.changed = asyncio.Event()

    def _forget(self, application: str) -> None:
        known = self._known.pop(application)
        known.changed.set()
        self._delete(known.name)

    def _delete(self, name: str) -> None:
        """Beside all else: it takes a while, and is tried until it is done."""

        async def delete() -> None:
            while not await self._is_gone(name):  # noqa: ASYNC110 - Serve tells no event
                await asyncio.sleep(AGAIN_S)

        self._deleted.append(name)
        task = asyncio.ensure_future(delete())
        self._deleting.add(task)
        task.add_done_callback(self._deleting.discard)

    async def _is_gone(self, name: str) -> bool:
        log = get_logger(__name__).bind(application=name)
        try:
            await self._applications.delete(name)
        except Unavailable as error:
            log.warning("not deleted yet", error=str(error))
            return False
        log.info("deleted: nobody needs it")
        return True
