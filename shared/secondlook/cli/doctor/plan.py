"""From settings to what has to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.machine import check_writable
from secondlook.cli.doctor.model import ModelVisit
from secondlook.cli.doctor.redis_server import RedisVisit
from secondlook.shared.detect import Detector
from secondlook.shared.settings import Section

if TYPE_CHECKING:
    from secondlook.cloud.settings import CloudSettings
    from secondlook.cloud.settings import ModelSettings as CloudModel

SQLITE = "sqlite:///"
IN_MEMORY = ":memory:"


class Visit(Protocol):
    """One look at one thing; its checks stop at the first failure."""

    async def walk(self, report: Report) -> bool:
        """Check in order; returns whether none failed."""
        ...


@dataclass(frozen=True, slots=True)
class DiskVisit:
    """A look at one place on disk.

    Attributes:
        what: what is written there, ``"edge sink events.jsonl"``.
        path: the file, or the folder.
        is_folder: which of the two.
        timeout_s: longest wait; a network disk may hang.
    """

    what: str
    path: Path
    is_folder: bool
    timeout_s: float

    async def walk(self, report: Report) -> bool:
        """See `Visit`."""
        check = Check(
            f"disk: {self.what}",
            lambda name: check_writable(name, self.path, is_folder=self.is_folder),
            f"{self.path} does not answer",
            "a network disk hangs: see `mount` and the kernel's log",
        )
        return await run_chain([check], self.timeout_s, report)


def edge_visits(settings: Section, timeout_s: float) -> list[Visit]:
    """What the edge daemon with these settings leans on."""
    return []


def cloud_visits(settings: CloudSettings, timeout_s: float) -> list[Visit]:
    """What the cloud service with these settings leans on: its models and its memory."""
    visits: list[Visit] = [
        ModelVisit(
            f"cloud model {model.name}",
            _cloud_loader(model),
            tuple(model.providers or ("auto",)),
            _model_limit(timeout_s),
        )
        for model in settings.models
    ]
    return visits + memory_visits("cloud memory", settings.memory.url, timeout_s)


def memory_visits(what: str, url: str, timeout_s: float) -> list[Visit]:
    """A look at a context memory, where there is something to look at."""
    if not url.startswith(SQLITE):
        return [RedisVisit(url, timeout_s)]
    path = url.removeprefix(SQLITE)
    return [] if path == IN_MEMORY else [DiskVisit(what, Path(path), False, timeout_s)]


def _cloud_loader(model: CloudModel) -> Callable[[], Detector]:
    def load() -> Detector:
        from secondlook.cloud.models import load_models

        return load_models((model,))[0].detector

    return load


def _model_limit(timeout_s: float) -> float:
    # TensorRT builds its engines at the first load, which takes minutes on a small board.
    return max(60.0, timeout_s * 12)
