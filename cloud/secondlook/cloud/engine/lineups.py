"""All models of a local engine: what is served, what could be, and how that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import anyio
import anyio.to_thread

from secondlook.cloud.engine.asking import Ask
from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.choosing import Chosen
from secondlook.cloud.engine.lifecycle import Opened, Served
from secondlook.cloud.engine.lineup import Lineup
from secondlook.cloud.engine.owned import owned
from secondlook.cloud.engine.residents import Residents
from secondlook.cloud.engine.routing import Routes
from secondlook.cloud.engine.workshop import Workshop
from secondlook.cloud.repository.config import ModelConfig
from secondlook.cloud.repository.findings import Finding, Severity
from secondlook.cloud.repository.snapshot import Offer, Snapshot
from secondlook.shared.errors import NotFound, SecondlookError
from secondlook.shared.telemetry import get_logger


def _tell_refused(offer: Offer) -> None:
    """Say that a version is not among those that were loaded, now that those are served.

    Raises:
        InvalidModel, InvalidConfig: it is so.
    """
    served = {release.version for release in offer.releases}
    for found in offer.findings:
        if found.severity is Severity.ERROR and found.version not in served:
            raise found.error()


def _beside(entry: Entry, found: Finding) -> Entry:
    """What serves, with the reason why something newer does not."""
    here = (entry.name, entry.version) == (found.model, found.version)
    if not here or entry.state is not State.READY or entry.reason:
        return entry
    return replace(entry, reason=f"refused: {found}")


class Source(Protocol):
    """Where models come from when somebody asks for one by name. Every method may block."""

    def names(self) -> Sequence[str]:
        """Those that could be loaded."""
        ...

    def read(self, name: str, config_json: str | None = None) -> Offer:
        """One of them, read anew.

        Raises:
            NotFound, InvalidModel, InvalidConfig: see `Catalogue.load`.
        """
        ...

    def forget(self, name: str) -> None:
        """Its versions may have other content from now on."""
        ...


class Lineups:
    """The models by name. Every method runs in the event loop.

    Args:
        workshop: what the models share.
        source: where `load` finds models; ``None``: nowhere.
        default: what is meant where no model is named; empty: the first that is ready.
        residents: decides which models are in memory; ``None``: all are.
    """

    def __init__(
        self,
        workshop: Workshop,
        source: Source | None = None,
        default: str = "",
        residents: Residents | None = None,
    ) -> None:
        self._shop = workshop
        self._source = source
        self._default = default
        self._residents = residents
        self._lines: dict[str, Lineup] = {}
        self._offers: dict[str, Offer] = {}
        self._findings: Sequence[Finding] = ()
        self._names: Sequence[str] = ()
        self._log = get_logger(__name__)

    def adopt(self, opened: Opened) -> None:
        """Serve what is open already."""
        self._line(opened.release.config.name).adopt([opened])

    def ready(self, model: str) -> Routes[Served]:
        """What serves a model; the default where the name is empty.

        Raises:
            NotFound: nothing does.
        """
        line = self._lines.get(model or self._default)
        if line is not None:
            return line.ready
        if not model and not self._default:
            ready = list(self.serving())
            detecting = (routes for routes in ready if routes.main.info is not None)
            first = next(detecting, None) or next(iter(ready), None)
            if first is None:
                raise NotFound("no model is ready")
            return first
        raise self.unknown(model or self._default)

    def choose(self, ask: Ask) -> Chosen:
        """What answers, as things stand.

        Raises:
            NotFound: nothing does.
        """
        line = self._lines.get(ask.model or self._default)
        if line is not None and line.routes is not None:
            return line.choosing.choose(ask, line.routes)
        routes = self.ready(ask.model)
        return self._lines[routes.model].choosing.choose(ask, routes)

    async def prepare(self, ask: Ask) -> None:
        """See `Serving.prepare`."""
        if self._residents is not None:
            await self._residents.prepare(ask, ask.model or self._default)

    def route(self, ask: Ask) -> Ask:
        """The same, with the model and the version that answer it as things stand.

        Raises:
            NotFound: none does.
        """
        model = ask.model or self._default
        resting = None if self._residents is None else self._residents.knows(model)
        line = self._lines.get(model)
        if resting is not None and (line is None or line.routes is None):
            return replace(ask, model=model, version=ask.version or resting.releases[-1].version)
        served, _, _ = self.choose(ask)
        return replace(ask, model=served.model, version=served.version)

    def serving(self) -> Iterator[Routes[Served]]:
        """What serves each model that is ready, the default first."""
        lines = sorted(self._lines.values(), key=lambda line: line.name != self._default)
        return (line.routes for line in lines if line.routes is not None)

    def config(self, model: str, version: str) -> ModelConfig:
        """See `Catalogue.config`."""
        routes = self.ready(model)
        served = routes.named(version) if version else routes.main
        current = self._lines[served.model].config or served.config
        return replace(served.config, shares=current.shares, versions=current.versions)

    def index(self) -> list[Entry]:
        """See `Catalogue.index`."""
        entries = [entry for line in self._lines.values() for entry in line.entries()]
        shown = {(entry.name, entry.version) for entry in entries}
        for found in self._findings:
            if found.severity is not Severity.ERROR:
                continue
            if (found.model, found.version) in shown:
                entries = [_beside(entry, found) for entry in entries]
                continue
            shown.add((found.model, found.version))
            entries.append(Entry(found.model, found.version, State.UNAVAILABLE, str(found)))
        named = {entry.name for entry in entries}
        entries += [
            Entry(name, "", State.UNAVAILABLE, "not loaded")
            for name in self._names
            if name not in named
        ]
        return sorted(entries, key=lambda entry: (entry.name, entry.version))

    async def fetch(self, model: str, config: str | None = None) -> None:
        """Load a model from the source; errors as in `Catalogue.load`."""
        source = self._source
        if source is None:
            raise self.unknown(model)
        line = self._line(model)
        told: dict[str, Offer] = {}
        try:
            if self._residents is None:
                await self._load(line, lambda: told.setdefault("offer", source.read(model, config)))
            else:
                told["offer"] = await self._hold(line, source, config)
        except NotFound:
            if not line.entries() and not line.loading:
                self._lines.pop(model, None)
            raise
        _tell_refused(told["offer"])

    async def unload(self, model: str) -> None:
        """See `Catalogue.unload`. A load that runs is ended."""
        line = self._lines.get(model)
        if line is None:
            raise self.unknown(model)
        line.unload()
        if self._residents is not None:
            self._residents.forget(model)
        await self._forget(model)

    def unload_all(self) -> None:
        """Serve nothing more, ever."""
        for line in self._lines.values():
            line.retire()

    async def survey(self) -> None:
        """Find out which models could be loaded, for the index."""
        if self._source is not None:
            self._names = await anyio.to_thread.run_sync(self._source.names)

    async def update(self, snapshot: Snapshot) -> None:
        """Serve what a repository holds now, and nothing that it held before and holds no more.

        Returns when everything that can be loaded is. What cannot is logged, and in `index`.
        Updates may overlap: a slow load holds up its own model, and the last snapshot counts.
        """
        self._findings = snapshot.findings
        gone = self._offers.keys() - snapshot.offers.keys()
        self._offers = dict(snapshot.offers)
        for name in gone:
            self._lines.pop(name).retire()
            if self._residents is not None:
                self._residents.forget(name)
        async with anyio.create_task_group() as loads:
            for name in snapshot.offers:
                if self._residents is not None and name in self._offers:
                    await self._residents.know(self._line(name), self._offers[name])
                loads.start_soon(self._follow, name)
        if self._residents is not None:
            await self._residents.fill()

    def unknown(self, model: str) -> NotFound:
        """The error for a name that nobody has."""
        names = ", ".join(sorted(self._lines)) or "none"
        return NotFound(f"no model is named {model[:128]!r}; served are {names}")

    async def _follow(self, name: str) -> None:
        """Serve of one model what the last snapshot offers."""
        offer = self._offers.get(name)
        if offer is None:
            return
        line = self._line(name)
        if self._residents is not None and line.routes is None:
            return
        try:
            await self._load(line, lambda: self._offers.get(name, offer), again=False)
        except SecondlookError as error:
            self._log.warning("model not up to date", model=name, reason=str(error))
            await self._forget(name)

    async def _hold(self, line: Lineup, source: Source, config: str | None) -> Offer:
        """Load one that may have to make room, or change what of it is in memory."""
        assert self._residents is not None
        offer = await anyio.to_thread.run_sync(source.read, line.name, config)
        await self._residents.know(line, offer)
        residents = self._residents
        if line.routes is not None:
            await self._load(line, lambda: offer)
        else:
            await owned(self._shop.drains.tasks, lambda: residents.load(line.name))
        return offer

    async def _load(self, line: Lineup, read: Callable[[], Offer], *, again: bool = True) -> None:
        await owned(self._shop.drains.tasks, lambda: line.load(read, again=again))

    async def _forget(self, model: str) -> None:
        if self._source is not None:
            await anyio.to_thread.run_sync(self._source.forget, model)

    def _line(self, model: str) -> Lineup:
        line = self._lines.get(model)
        if line is None:
            line = self._lines[model] = Lineup(model, self._shop)
        return line
