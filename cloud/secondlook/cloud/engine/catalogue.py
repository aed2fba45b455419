"""Which models there are, in what state, and how to change that while serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.repository.config import ModelConfig


class State(str, Enum):
    """Where a version is; names as in the Open Inference Protocol's repository extension."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one model.

    Attributes:
        name: the model.
        version: the version; empty where not even one could be found.
        state: where it is.
        reason: why, where it is not ready; a sentence.
    """

    name: str
    version: str
    state: State
    reason: str = ""


class Catalogue(Protocol):
    """What KServe's repository calls, and people, see and change."""

    def index(self) -> Sequence[Entry]:
        """Every version that is known, ready or not."""
        ...

    def config(self, model: str, version: str = "") -> ModelConfig:
        """How a model is run.

        Raises:
            NotFound: no such model or version is ready.
        """
        ...

    def statistics(self, model: str = "", version: str = "") -> Sequence[Statistics]:
        """What each ready version has done since it was loaded; all of them where no name is given.

        Raises:
            NotFound: a name was given, and there is none.
        """
        ...

    async def load(self, model: str, config: str | None = None) -> None:
        """Read its directory again, load what its policy asks for, switch, drain the old.

        Args:
            model: its name.
            config: its configuration in place of that on disk, as JSON (Triton's load parameter
                ``config``).

        Raises:
            NotFound: no such model in the repository.
            InvalidModel, InvalidConfig: it cannot be served; what was served still is.
        """
        ...

    async def unload(self, model: str) -> None:
        """Serve it no more; returns at once, what was accepted is finished.

        Raises:
            NotFound: it is not known.
        """
        ...
