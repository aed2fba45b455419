"""Where models come from, and how they are opened on the devices that they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.repository.config import MAIN_VARIANT, Batching, InstanceGroup, Release
from secondlook.cloud.repository.lone import lone_release
from secondlook.cloud.repository.repository import ModelRepository
from secondlook.cloud.repository.snapshot import Offer
from secondlook.cloud.repository.variants import read_record
from secondlook.cloud.serving_settings import ModelSettings
from secondlook.shared.errors import InvalidConfig, InvalidModel, NotFound
from secondlook.shared.telemetry import get_logger
from secondlook.shared.zoo import model_file


class Models:
    """The lone files of ``[[models]]`` and the repository, as one `Source`. Every method may block.

    Args:
        lone: single files, by name; of two models of one name the lone one counts.
        repository: the rest; ``None``: there is none.
    """

    def __init__(
        self, lone: Sequence[ModelSettings], repository: ModelRepository | None = None
    ) -> None:
        self._lone = {model.name: model for model in lone}
        self._repository = repository

    def names(self) -> Sequence[str]:
        """See `Source.names`."""
        stored = () if self._repository is None else self._repository.names()
        return tuple(dict.fromkeys((*self._lone, *stored)))

    def read(self, name: str, config_json: str | None = None) -> Offer:
        """See `Source.read`."""
        lone = self._lone.get(name)
        if lone is not None:
            if config_json is not None:
                raise InvalidConfig(f"{name!r} is a single file: it takes no configuration")
            return lone_offer(lone)
        if self._repository is None:
            raise NotFound(f"no model is named {name[:128]!r}; there are {', '.join(self._lone)}")
        return self._repository.read(name, config_json)

    def forget(self, name: str) -> None:
        """See `Source.forget`."""
        if self._repository is not None and name not in self._lone:
            self._repository.forget(name)


def lone_offer(model: ModelSettings) -> Offer:
    """A single file as the only version of a model. Blocking.

    Raises:
        InvalidConfig: no model of that name is shipped, or a provider is unknown.
        InvalidModel: the file is missing, corrupt, or has a head that is not understood.
    """
    release = lone_release(
        _path(model.path),
        name=model.name,
        version=model.version,
        max_batch=model.max_batch,
        threads=model.threads,
        # Where the size of a batch is chosen by hand, also on a CPU.
        batching=Batching() if model.max_batch else None,
        parameters={
            "min_score": str(model.min_score),
            "providers": ",".join(model.providers),
        },
    )
    return Offer(model.name, release.config, (release,))


def open_release(release: Release, *, threads: int = 0) -> Opened:
    """Load a release on every instance that its configuration asks for, and warm it up. Blocking.

    Args:
        release: what to load.
        threads: of the network, where the configuration leaves them open; 0: one per core.

    Raises:
        InvalidModel, InvalidConfig, MissingDependency, ModelFailure, Unavailable: see
            `open_backend`; nothing is left open.
    """
    backends: list[Backend] = []
    with ExitStack() as undo:
        for device, group in _places(release.config.instances):
            backend = open_backend(release, device=device, threads=group.threads or threads)
            undo.callback(backend.close)
            backend.warm_up()
            backends.append(backend)
        undo.pop_all()
    first = backends[0]
    info = None if first.detector is None else first.detector.info
    get_logger(__name__).info(
        "model loaded",
        model=release.config.name,
        version=release.version,
        variant=release.variant,
        backend=release.config.backend,
        devices=[backend.device for backend in backends],
        head=None if info is None else info.head,
        classes=None if info is None else len(info.names),
    )
    loss, speed = _measured(release)
    return Opened(release, backends, loss=loss, speed=speed)


def _measured(release: Release) -> tuple[float | None, float | None]:
    """Loss of accuracy against the main variant, and speed by it; ``None``: not measured."""
    if release.variant == MAIN_VARIANT:
        return 0.0, 1.0
    measured = read_record(release.file.parent).variants.get(release.variant)
    return (None, None) if measured is None else (1.0 - measured.f1, measured.speed)


def _places(groups: Sequence[InstanceGroup]) -> Iterator[tuple[str, InstanceGroup]]:
    """The device of each instance."""
    for group in groups or (InstanceGroup(),):
        devices = [f"gpu:{index}" for index in group.gpus or (0,)]
        for device in devices if group.kind == "gpu" else [group.kind]:
            for _ in range(group.count):
                yield device, group


def _path(path: str) -> Path:
    try:
        return model_file(path)
    except InvalidModel as error:
        raise InvalidConfig(f"models.path {path!r}: {error.message}") from None
