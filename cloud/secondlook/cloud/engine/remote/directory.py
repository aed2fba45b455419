"""What the other server has, as it was when we last looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from secondlook.cloud.backends.remote_backend import describe
from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.lifecycle import min_score
from secondlook.cloud.engine.remote.client import RemoteServer
from secondlook.cloud.engine.remote.model import (
    Eyes,
    FacedEyes,
    LinedDetector,
    NetworkEyes,
    RemoteModel,
    bare_detector,
    face_info,
)
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.repository.bounds import FACE
from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import ModelConfig
from secondlook.cloud.repository.proto import from_proto
from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.errors import ModelFailure, NotFound, SecondlookError

LOOK_S = 30.0
"""Longest time that a network may take to tell its shapes."""


MANY = 2**31 - 1
"""Rows in one call of a model whose server does not tell a bound."""


class Directory:
    """Models by name and version.

    Args:
        server: the server.
        only: names to offer; empty: all.
        limiter: pictures that are worked on at once.
        clock: of deadlines.
    """

    def __init__(
        self,
        server: RemoteServer,
        only: Sequence[str],
        limiter: anyio.CapacityLimiter,
        clock: Clock,
    ) -> None:
        self._server = server
        self._only = tuple(only)
        self._limiter = limiter
        self._clock = clock
        self._models: dict[str, dict[str, RemoteModel]] = {}
        self._stale = anyio.Event()
        self._lock = anyio.Lock()
        self.entries: tuple[Entry, ...] = ()

    def find(self, model: str, version: str) -> RemoteModel:
        """A version that is ready; the newest where none is named.

        Raises:
            NotFound: there is none.
        """
        versions = self._models.get(model)
        if not versions:
            why = next((one.reason for one in self.entries if one.name == model), "")
            raise NotFound(
                f"{model[:64]!r} cannot be asked: {why}"
                if why
                else f"no model is named {model[:64]!r}; served are {', '.join(self._models)}"
            )
        if not version:
            return versions[max(versions, key=_age)]
        found = versions.get(version)
        if found is None:
            raise NotFound(f"{model!r} has no version {version[:64]!r}; it has {list(versions)}")
        return found

    def mains(self) -> Sequence[RemoteModel]:
        """The newest version of each model."""
        return [self.find(name, "") for name in self._models]

    def models(self) -> Sequence[RemoteModel]:
        """Every version that is ready."""
        return [one for versions in self._models.values() for one in versions.values()]

    def counted(self, model: RemoteModel, version: str) -> Statistics:
        """Where to count what ``version`` answered in place of the one that was found."""
        answered = self._models.get(model.name, {}).get(version)
        if answered is None:
            # It is newer than what we know.
            self.stale()
            return model.statistics
        return answered.statistics

    def stale(self) -> None:
        """Something is not as we know it: look again soon."""
        self._stale.set()

    async def wanted(self) -> None:
        """Wait until somebody has found out that something is stale."""
        await self._stale.wait()

    async def refresh(self) -> None:
        """Look again. A version that is known stays what it is until it goes.

        Raises:
            Unavailable: the server cannot be reached.
        """
        async with self._lock:
            self._stale = anyio.Event()
            entries, faces = await self._listed()
            models: dict[str, dict[str, RemoteModel]] = {}
            told: list[Entry] = []
            for entry in entries:
                if entry.state is State.READY:
                    try:
                        known = self._models.get(entry.name, {}).get(entry.version)
                        found = known or await self._look(entry, entry.name in faces)
                    except SecondlookError as error:
                        entry = replace(entry, state=State.UNAVAILABLE, reason=str(error))
                    else:
                        models.setdefault(entry.name, {})[found.version] = found
                        entry = replace(entry, version=found.version)
                told.append(entry)
            self._models, self.entries = models, tuple(told)

    async def _listed(self) -> tuple[list[Entry], set[str]]:
        """Every version there, and the names of those that take pictures themselves."""
        listed = await self._server.index()
        if listed is None:
            return [await self._named(name) for name in self._only], set()
        entries, faces = [], set()
        for one in listed:
            base = one.name.removesuffix(FACE)
            if base != one.name:
                faces.add(base)
            elif not self._only or one.name in self._only:
                # Triton leaves the state empty where a model was never loaded; MLServer says
                # `State.READY`.
                said = one.state.rpartition(".")[2]
                state = State(said) if said in _STATES else State.UNAVAILABLE
                entries.append(Entry(one.name, one.version, state, one.reason))
        return entries, faces

    async def _named(self, name: str) -> Entry:
        """A model of a server without an index."""
        try:
            ready = await self._server.ready(name)
        except (NotFound, ModelFailure) as error:
            return Entry(name, "", State.UNAVAILABLE, str(error))
        if ready:
            return Entry(name, "", State.READY)
        return Entry(name, "", State.UNAVAILABLE, f"{self._server.address}: it is not ready")

    async def _look(self, entry: Entry, faced: bool) -> RemoteModel:
        server, name = self._server, entry.name
        eyes: Eyes | None = None
        if faced:
            face = await server.config(name + FACE, entry.version)
            info = None if face is None else face_info(face.config)
            if info is not None:
                eyes = FacedEyes(server, name, info, self._limiter)
        try:
            metadata = await server.metadata(name, entry.version)
        except NotFound:
            if eyes is None:
                raise
            # It takes pictures, and no tensors.
            config = ModelConfig(name, "remote", max_batch=eyes.info.max_batch)
            return RemoteModel(
                name, entry.version, Signature((), (), config.max_batch), config, eyes
            )
        version = entry.version or (metadata.versions[0] if metadata.versions else "")
        told = await server.config(name, entry.version)
        config = ModelConfig(name, "remote") if told is None else from_proto(told.config).config
        config = complete(
            replace(config, name=name),
            describe(metadata),
            Path(name),
            batch_said=told is not None,
        )
        signature = Signature(config.inputs, config.outputs, config.max_batch)
        if eyes is None:
            eyes = await self._bare(config, version, signature)
        if told is None and config.max_batch:
            # How many rows it takes is its own affair.
            signature = replace(signature, max_batch=MANY)
        return RemoteModel(name, version, signature, config, eyes)

    async def _bare(self, config: ModelConfig, version: str, signature: Signature) -> Eyes | None:
        async def ask_network(
            tensors: Tensors, ask: Ask, outputs: tuple[str, ...]
        ) -> tuple[dict[str, Array], Ran]:
            return await self._server.infer(
                config.name, ask.version, signature, tensors, ask, outputs
            )

        def make() -> LinedDetector | None:
            ask = Ask(Deadline.after(LOOK_S, self._clock), config.name, version)
            return bare_detector(config, version, signature, ask_network, ask)

        def another() -> LinedDetector:
            made = make()
            assert made is not None
            return made

        first = await anyio.to_thread.run_sync(make, limiter=self._limiter)
        if first is None:
            return None
        return NetworkEyes(first, another, ask_network, min_score(config.parameters), self._limiter)


_STATES = frozenset(state.value for state in State)


def _age(version: str) -> tuple[int, str]:
    """Numbers by size, the newest last."""
    return (int(version), "") if version.isdecimal() else (-1, version)
