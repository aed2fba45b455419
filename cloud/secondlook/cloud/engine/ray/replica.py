"""One replica: the same backend and batcher as in the engine `local`, in an actor of Ray."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from secondlook.cloud.engine.batcher_factory import batcher_factory
from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Open
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.cloud.engine.ray.libraries import libraries
from secondlook.cloud.engine.ray.messages import Answered, Described, Failed, Question
from secondlook.cloud.engine.ray.telling import telling
from secondlook.cloud.repository.config import Release
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import ModelFailure, SecondlookError, Unavailable
from secondlook.shared.telemetry import get_logger


class Replica:
    """Made by Ray Serve, on some node. A release that cannot be loaded is told, not raised: Ray
    would try again, and tell nobody why.

    Args:
        open_release: loads the release; the files are where they are on the other nodes.
        release: what to load.
        policy: of the batcher, where the model says nothing.
    """

    def __init__(self, open_release: Open, release: Release, policy: Policy) -> None:
        self._clock = SystemClock()
        self._started = False
        self._refused: SecondlookError | None = None
        try:
            self._opened = open_release(release)
        except SecondlookError as error:
            self._refused = error
            return
        except Exception as error:  # noqa: BLE001 - whatever a library raises on a file, the file is refused
            get_logger(__name__).exception("loading failed")
            self._refused = ModelFailure(f"it cannot be loaded: {type(error).__name__}")
            return
        registry = CollectorRegistry()
        make = batcher_factory(policy, EngineMetrics(registry), self._clock)
        self._batcher = make(self._opened)
        _, serve = libraries()
        known = serve.get_replica_context()
        # Ends with the process: Serve tells a replica of its end only by its death.
        self._telling = asyncio.get_running_loop().create_task(
            telling(registry, known.app_name, known.replica_tag)
        )

    async def describe(self) -> Described | Failed:
        """What was loaded, or why not."""
        if self._refused is not None:
            return Failed(self._refused)
        backend = self._opened.backends[0]
        return Described(
            backend.signature,
            None if backend.detector is None else backend.detector.info,
            backend.device,
            sum(held.memory_bytes for held in self._opened.backends),
        )

    async def ask(self, question: Question) -> Answered | Failed:
        """One request; cancelled by Ray when its caller goes away."""
        if self._refused is not None:
            return Failed(Unavailable(f"the replica could not load the model: {self._refused}"))
        if not self._started:
            self._started = True
            self._batcher.start()
        try:
            result, ran = await self._batcher.submit(
                question.lane(), question.payload, question.ask(self._clock)
            )
        except SecondlookError as error:
            return Failed(error)
        return Answered(result, ran)
