"""The versions of one model: loads the new beside the old, switches in one step, drains the old."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
import anyio.to_thread

from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.choosing import Choosing
from secondlook.cloud.engine.lifecycle import Opened, Served, close_all
from secondlook.cloud.engine.opening import open_beside
from secondlook.cloud.engine.routing import Routes
from secondlook.cloud.engine.workshop import Workshop
from secondlook.cloud.repository.config import ModelConfig, Release, VersionPolicy
from secondlook.cloud.repository.snapshot import Offer
from secondlook.shared.errors import NotFound, SecondlookError, Unavailable
from secondlook.shared.telemetry import get_logger

PATIENCE_S = 10.0
"""How long the memory of an evicted model is waited for, seconds."""

MAX_HUNG = 3
"""Copies of a version that may hang at once; each holds a thread and the memory of its network."""

UNLOADED = "unloaded"


class Lineup:
    """One model. Every method runs in the event loop.

    - Loads of one model come one after the other.
    - A version that cannot be loaded is refused, with its reason, and then nothing that serves is
      taken away: it is served on until a load succeeds.
    - `unload` while a load runs ends that load; what it opens is closed.
    - What a version has accepted, that version answers, however long after the switch.

    Args:
        name: the model.
        workshop: what it shares with others.
    """

    def __init__(self, name: str, workshop: Workshop) -> None:
        self.name = name
        self.config: ModelConfig | None = None
        self.routes: Routes[Served] | None = None
        self.choosing = Choosing(name, workshop.drains.tasks, workshop.adapting)
        self._shop = workshop
        self._turn = anyio.Lock()
        self._loading: dict[str, anyio.CancelScope] = {}
        self._draining: list[Served] = []
        self._refused: dict[str, tuple[tuple[Release, ...], SecondlookError]] = {}
        self._unloads = 0
        self.retired = False
        self._unloaded: tuple[str, ...] = ()
        self._why_unloaded = UNLOADED
        self._log = get_logger(__name__).bind(model=name)

    @property
    def ready(self) -> Routes[Served]:
        """What serves it.

        Raises:
            NotFound: nothing does.
        """
        if self.routes is None:
            reasons = [str(error) for _, error in self._refused.values()]
            if reasons:
                raise NotFound(f"no version of {self.name!r} is ready: {reasons[-1]}")
            raise NotFound(f"{self.name!r} is not loaded")
        return self.routes

    @property
    def loading(self) -> bool:
        """Whether a load runs or waits for its turn."""
        return self._turn.locked()

    @property
    def in_flight(self) -> int:
        """Requests that were accepted and not answered."""
        return sum(served.in_flight for served in self._serving().values())

    @property
    def memory_bytes(self) -> int:
        """What its versions take, those that still drain included."""
        return sum(served.memory_bytes for served in [*self._serving().values(), *self._draining])

    def adopt(self, opened: list[Opened]) -> None:
        """Serve what somebody else has opened, as the only version."""
        served = Served(opened, self._shop.make_batcher)
        self.config = served.config
        self._serve({served.version: served}, served)

    async def load(self, read: Callable[[], Offer], *, again: bool = True) -> None:
        """Serve what is offered.

        Args:
            read: gives the offer; blocking; called when the turn has come, so that of two loads
                the second sees what is there then.
            again: also try what was refused before and has not changed since.

        Raises:
            NotFound, InvalidModel, InvalidConfig: see `Catalogue.load`.
            Unavailable: it was unloaded meanwhile, or is retired.
        """
        unloads = self._unloads
        async with self._turn:
            if self._unloads != unloads or self.retired:
                # Whoever unloaded it since meant this load too.
                raise self._ended()
            with anyio.CancelScope() as scope:
                self._loading[""] = scope
                try:
                    offer = await anyio.to_thread.run_sync(read)
                    await self._load(offer, scope, again)
                finally:
                    self._loading.clear()
            if scope.cancelled_caught:
                raise self._ended()

    def rests(self, offer: Offer, why: str) -> None:
        """It is known, and not loaded for now."""
        self.config = offer.config
        self._why_unloaded = why
        self._unloaded = tuple(dict.fromkeys(release.version for release in offer.releases))

    async def drained(self) -> None:
        """Until what is served no more has gone, or hangs for too long to be waited for."""
        with anyio.move_on_after(PATIENCE_S):
            while self._draining:
                await self._shop.drains.done(self._draining[0])

    def unload(self, why: str = UNLOADED) -> None:
        """Serve nothing more. What was accepted is finished, beside.

        Args:
            why: shown in the index.
        """
        self._why_unloaded = why
        self._unloads += 1
        for scope in self._loading.values():
            scope.cancel()
        self._refused.clear()
        self._unloaded = tuple(self._serving()) or self._unloaded
        self._serve({})

    def retire(self) -> None:
        """Unload it for good: whatever loads come later are refused."""
        self.unload()
        self.retired = True

    def entries(self) -> list[Entry]:
        """Where each of its versions is."""
        states: dict[str, tuple[State, str]] = {}
        for version in self._unloaded:
            states[version] = State.UNAVAILABLE, self._why_unloaded
        for version, (_, error) in self._refused.items():
            states[version] = State.UNAVAILABLE, str(error)
        for served in self._draining:
            states[served.version] = State.UNLOADING, f"{served.in_flight} requests to finish"
        for version in self._loading:
            if version:
                states[version] = State.LOADING, ""
        for version in self._serving():
            refused = self._refused.get(version)
            states[version] = State.READY, "" if refused is None else f"refused: {refused[1]}"
        return [Entry(self.name, version, *state) for version, state in states.items()]

    async def _load(self, offer: Offer, scope: anyio.CancelScope, again: bool) -> None:
        wanted: dict[str, tuple[Release, ...]] = {}
        for release in offer.releases:
            wanted[release.version] = (*wanted.get(release.version, ()), release)
        self.config = offer.config
        failure: SecondlookError | None = None
        incomplete = False
        for version, releases in wanted.items():
            served = self._serving().get(version)
            if served is not None and _same(served.releases, releases):
                self._refused.pop(version, None)
                continue
            refused = self._refused.get(version)
            if refused is not None and refused[0] == releases and not again:
                incomplete = True
                continue
            try:
                self._loading[version] = scope
                fresh = await self._open(releases)
            except SecondlookError as error:
                failure = error
                self._refused[version] = releases, error
                self._shop.metrics.refused(self.name)
                self._log.error("version refused", version=version, reason=str(error))
            else:
                self._refused.pop(version, None)
                self._serve({**self._serving(), version: fresh}, fresh)
            finally:
                self._loading.pop(version, None)
        if failure is None and not incomplete:
            self._refused = {v: why for v, why in self._refused.items() if v in wanted}
            self._serve({v: served for v, served in self._serving().items() if v in wanted})
            self._unloaded = ()
        else:
            # What serves goes on serving, under the shares that now hold.
            self._serve(self._serving())
        if failure is not None:
            raise failure

    async def _open(self, releases: tuple[Release, ...]) -> Served:
        started_s = self._shop.clock.monotonic()
        opened = await open_beside(releases, self._shop.open, self._shop.limiter)
        try:
            served = Served(opened, self._shop.make_batcher)
        except SecondlookError:
            await anyio.to_thread.run_sync(close_all, opened)
            raise
        self._shop.metrics.loaded(self.name, self._shop.clock.monotonic() - started_s)
        return served

    def _ended(self) -> Unavailable:
        return Unavailable(f"{self.name!r} was unloaded while it was loaded")

    def _serving(self) -> Mapping[str, Served]:
        return {} if self.routes is None else self.routes.versions

    def _serve(self, versions: Mapping[str, Served], fresh: Served | None = None) -> None:
        """Serve these from now on. One step of the event loop: no request sees anything between."""
        before = self._serving()
        if fresh is not None:
            fresh.start(lambda: self._cut_off(fresh))
            self._log.info(
                "version ready",
                version=fresh.version,
                variants=list(fresh.variants),
                memory_bytes=fresh.memory_bytes,
            )
        shares = {} if self.config is None else self.config.shares
        self.routes = Routes(self.name, versions, shares) if versions else None
        self.choosing.follow(self.routes, self.config)
        for served in before.values():
            if versions.get(served.version) is not served:
                self._draining.append(served)
                self._shop.drains.start(served, self._gone)
                if served.version not in versions:
                    self._shop.changed(self.name, served.version)
        if fresh is not None:
            self._shop.changed(self.name, fresh.version)
        self._shop.metrics.serving(self.name, len(versions))

    def _gone(self, served: Served) -> None:
        self._draining.remove(served)
        self._log.info("version gone", version=served.version)
        held = {*self._serving(), *(other.version for other in self._draining)}
        if served.version not in held:
            self._shop.gone(self.name, served.version)

    def _cut_off(self, served: Served) -> None:
        """A breaker has opened. A thread that hangs is lost: put a fresh copy beside it."""
        if self._serving().get(served.version) is not served or not served.hung:
            return
        hung = sum(other.version == served.version for other in self._draining)
        if hung >= MAX_HUNG:
            self._log.error("hangs again, left alone", version=served.version, copies=hung)
            return
        self._shop.drains.tasks.start_soon(self._revive, served)

    async def _revive(self, served: Served) -> None:
        async with self._turn:
            if self._serving().get(served.version) is not served:
                return
            try:
                fresh = await self._open(served.releases)
            except SecondlookError as error:
                self._log.error("no fresh copy", version=served.version, reason=str(error))
                return
            if self._serving().get(served.version) is not served:
                # Unloaded meanwhile: nothing has run in it.
                await fresh.drain()
                return
            served.replaced()
            self._serve({**self._serving(), served.version: fresh}, fresh)


def _same(serving: tuple[Release, ...], wanted: tuple[Release, ...]) -> bool:
    """Whether nothing has to be loaded: shares and policies are not part of what is loaded."""
    return [as_loaded(release) for release in serving] == [as_loaded(release) for release in wanted]


def as_loaded(release: Release) -> Release:
    """A release without what can change while it is loaded: equal ones are loaded alike."""
    config = replace(release.config, shares={}, versions=VersionPolicy(), objective_s=None)
    return replace(release, config=config)
