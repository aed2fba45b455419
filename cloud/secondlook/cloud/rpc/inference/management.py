"""Everything of the protocol that is not inference: health, metadata, repository, statistics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from secondlook.cloud.engine.catalogue import Entry, State
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.repository.bounds import FACE
from secondlook.cloud.repository.proto import to_proto
from secondlook.cloud.rpc.boundary import Boundary, Context
from secondlook.cloud.rpc.inference import detection, telling
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidInput, NotFound, PermissionDenied

R = TypeVar("R")

SERVER = "secondlook"
EVERYTHING = ""
"""What the ids begin with that a caller may write who may change what everyone is answered by."""


class Management:
    """Half of the servicer: what is served, in what state, and how to change it.

    Args:
        engine: what runs the models.
        boundary: what every call has in common.
        ready: whether new work is welcome.
        release: what version the service says it is.
    """

    def __init__(
        self, engine: Engine, boundary: Boundary, *, ready: Callable[[], bool], release: str
    ) -> None:
        self._engine = engine
        self._boundary = boundary
        self._ready = ready
        self._release = release

    async def ServerLive(
        self, request: pb.ServerLiveRequest, context: Context
    ) -> pb.ServerLiveResponse:
        """Whether the process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(
        self, request: pb.ServerReadyRequest, context: Context
    ) -> pb.ServerReadyResponse:
        """Whether new work is welcome."""
        return pb.ServerReadyResponse(ready=self._ready())

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        """What this is, and which extensions it has."""
        return pb.ServerMetadataResponse(
            name=SERVER, version=self._release, extensions=telling.EXTENSIONS
        )

    async def ModelReady(
        self, request: pb.ModelReadyRequest, context: Context
    ) -> pb.ModelReadyResponse:
        """Whether a model, or one version of it, can be asked; a name nobody knows cannot."""

        async def answer() -> pb.ModelReadyResponse:
            return pb.ModelReadyResponse(ready=bool(self._ready_versions(request)))

        return await self._told("ModelReady", context, answer)

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """A model's versions and tensors."""

        async def answer() -> pb.ModelMetadataResponse:
            name, version = request.name, request.version
            versions = self._ready_versions(request)
            if not versions:
                raise _unknown(name, version)
            if name.endswith(FACE):
                return telling.metadata(name, versions, detection.PLATFORM, detection.SIGNATURE)
            told = to_proto(self._engine.config(name, version))
            signature = self._engine.signature(name, version)
            return telling.metadata(name, versions, told.platform or told.backend, signature)

        return await self._told("ModelMetadata", context, answer)

    async def ModelConfig(
        self, request: pb.ModelConfigRequest, context: Context
    ) -> pb.ModelConfigResponse:
        """How a model is run."""

        async def answer() -> pb.ModelConfigResponse:
            name, version = request.name, request.version
            if name.endswith(FACE):
                if not self._ready_versions(request):
                    raise _unknown(name, version)
                info = self._engine.detector(name.removesuffix(FACE), version)
                return pb.ModelConfigResponse(config=detection.config(name, info))
            told = to_proto(self._engine.config(name, version))
            signature = self._engine.signature(name, version)
            return pb.ModelConfigResponse(config=telling.completed(told, signature))

        return await self._told("ModelConfig", context, answer)

    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """What models have done; of a detector's other face, what the detector has done."""

        async def answer() -> pb.ModelStatisticsResponse:
            name = request.name.removesuffix(FACE)
            counted = self._engine.statistics(name, request.version)
            return pb.ModelStatisticsResponse(
                model_stats=[
                    telling.statistics(request.name or each.name, each) for each in counted
                ]
            )

        return await self._told("ModelStatistics", context, answer)

    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        """Every version that is known; detectors with their other face."""

        async def answer() -> pb.RepositoryIndexResponse:
            entries: list[Entry] = []
            for entry in self._engine.index():
                ready = entry.state is State.READY
                if ready or not request.ready:
                    entries.append(entry)
                if ready and self._detects(entry.name, entry.version):
                    face = Entry(entry.name + FACE, entry.version, entry.state)
                    entries.append(face)
            return telling.index(entries)

        return await self._told("RepositoryIndex", context, answer)

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Read a model's directory again and serve what it holds."""

        async def answer() -> pb.RepositoryModelLoadResponse:
            self._check_changes(request.model_name, context)
            config: str | None = None
            for key, value in request.parameters.items():
                if key != "config":
                    raise InvalidInput(f"parameter {key[:64]!r}: only config is taken")
                config = value.string_param
            await self._engine.load(request.model_name, config)
            return pb.RepositoryModelLoadResponse()

        return await self._boundary.call(
            "RepositoryModelLoad", context, answer, model=request.model_name[:128]
        )

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Serve a model no more."""

        async def answer() -> pb.RepositoryModelUnloadResponse:
            self._check_changes(request.model_name, context)
            await self._engine.unload(request.model_name)
            return pb.RepositoryModelUnloadResponse()

        return await self._boundary.call(
            "RepositoryModelUnload", context, answer, model=request.model_name[:128]
        )

    async def _told(self, method: str, context: Context, answer: Callable[[], Awaitable[R]]) -> R:
        """What is served is told to those alone who are known here."""

        def known() -> Awaitable[R]:
            self._boundary.caller(context)
            return answer()

        return await self._boundary.call(method, context, known)

    def _check_changes(self, model: str, context: Context) -> None:
        caller = self._boundary.caller(context)
        if EVERYTHING not in caller.writes:
            raise PermissionDenied(
                f"{caller.identity} may not change models",
                remedy="who may has cameras = ['*'] in access.devices",
            )
        if not model:
            raise InvalidInput("model_name is missing")
        if model.endswith(FACE):
            name = model.removesuffix(FACE)[:64]
            raise InvalidInput(f"{name}{FACE} is a face of {name}; change {name}")

    def _detects(self, model: str, version: str) -> bool:
        try:
            self._engine.detector(model, version)
        except NotFound:
            return False
        return True

    def _ready_versions(
        self, request: pb.ModelReadyRequest | pb.ModelMetadataRequest | pb.ModelConfigRequest
    ) -> list[str]:
        """The versions that are ready; only the one that is asked for, where one is."""
        if not request.name:
            raise InvalidInput("name is missing")
        name = request.name.removesuffix(FACE)
        face = name != request.name
        return [
            entry.version
            for entry in self._engine.index()
            if entry.name == name
            and entry.state is State.READY
            and request.version in ("", entry.version)
            and (not face or self._detects(name, entry.version))
        ]


def _unknown(name: str, version: str) -> NotFound:
    which = f"version {version[:64]!r} of {name[:64]!r}" if version else repr(name[:64])
    return NotFound(f"{which} is not ready")
