"""The daemon: all cameras, from start to drained."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import anyio
from prometheus_client import CollectorRegistry

from secondlook.edge.carrier import make_carrier
from secondlook.edge.control import Controller, Link
from secondlook.edge.daemon.budget import divide
from secondlook.edge.daemon.meter import CameraMeter
from secondlook.edge.daemon.protocol import CaptureFactory
from secondlook.edge.daemon.share import DetectorShare
from secondlook.edge.daemon.status import CameraStatus
from secondlook.edge.daemon.supervisor import CameraSupervisor
from secondlook.edge.daemon.surroundings import Surroundings
from secondlook.edge.decisions import DecisionLog, LogHeader, Recorder, decisions_folder
from secondlook.edge.decisions.policy import PolicySettings
from secondlook.edge.gate.opening import OpenGate, open_gate
from secondlook.edge.memory.hub import Memory
from secondlook.edge.memory.notes import Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.settings import EdgeSettings
from secondlook.edge.sinks.build import build_sinks
from secondlook.edge.sinks.outlet import Outlets
from secondlook.edge.sinks.protocol import Sink
from secondlook.edge.uplink.late import LateSender
from secondlook.edge.uplink.session import SessionUplink
from secondlook.edge.uplink.spool import Spool, spool_folder
from secondlook.shared.clock import Clock
from secondlook.shared.detect.protocol import Detector
from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust import TrustMeter

_log = get_logger(__name__)
SOFTWARE = version("secondlook")
"""The version that runs; read from the disk, so once and before any event loop."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop by itself; recordings also end by themselves.

    Attributes:
        max_frames: answered frames of each camera; ``None`` for no limit.
        seconds: time since the start; ``None`` for no limit.
    """

    max_frames: int | None = None
    seconds: float | None = None


class Daemon:
    """Runs cameras until they end or it is told to stop.

    Attributes:
        statuses: counts of each camera, kept up to date.
        uplink: the cloud; its ``outages`` say when nothing could be asked.
        controller: the budget.
        memory: what outlives a restart.
        late: what waits on disk for the cloud, while the daemon runs; ``None`` where nothing may.

    Args:
        settings: everything.
        detector: the light model, loaded; the caller closes it.
        captures: makes captures.
        clock: stamps answers and bounds calls.
        registry: where the metrics go.
        sinks: instead of those of the settings.
        gate: that of the settings, opened; opened here where not given, which blocks.

    Raises:
        InvalidConfig: the gate file cannot be used with this model.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        detector: Detector,
        captures: CaptureFactory,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        sinks: list[Sink] | None = None,
        gate: OpenGate | None = None,
    ) -> None:
        self._settings = settings
        self._gate = gate or open_gate(settings.pipeline, detector.info)
        self._captures = captures
        self._clock = clock
        self._stop = anyio.Event()
        self._share = DetectorShare(
            detector, settings.detector.min_score, settings.detector.max_batch, registry
        )
        self._outlets = Outlets(
            build_sinks(settings.sinks) if sinks is None else sinks,
            settings.sinks.queue,
            registry,
        )
        link = Link()
        within_s = settings.uplink.answer_within_s or settings.uplink.timeout_s
        budget, memory = divide(settings)
        self.controller = Controller(
            budget,
            {camera.id: camera.budget for camera in settings.cameras},
            clock.monotonic(),
            registry=registry,
            link=link,
            answer_within_s=within_s,
        )
        self.uplink = SessionUplink(settings.uplink, clock, registry, link)
        self.late = self._spooling(registry)
        self._decisions = self._logging(registry)
        self._info = detector.info
        self.statuses = [CameraStatus(camera.id) for camera in settings.cameras]
        self.memory = Memory(
            memory,
            settings.uplink,
            tuple(camera.id for camera in settings.cameras),
            clock,
            registry,
        )
        around = Surroundings(
            self._share,
            self.uplink,
            self._outlets,
            CameraMeter(registry),
            clock,
            self.memory,
            self.controller,
            self.late,
            self._decisions,
            self._gate,
            TrustMeter(registry),
        )
        self._supervisors = [
            CameraSupervisor(camera, settings, around, captures, self._pipeline, status)
            for camera, status in zip(settings.cameras, self.statuses, strict=True)
        ]

    def stop(self) -> None:
        """Take no more frames, wait for open verdicts, flush the sinks, return from `run`."""
        self._stop.set()

    async def run(
        self, limits: Limits | None = None, on_ready: Callable[[], None] | None = None
    ) -> None:
        """Run until every camera has ended.

        Args:
            limits: when to stop by itself.
            on_ready: called once the cameras are being started.

        Raises:
            SecondlookError: a camera failed for good; the others have run to their end first.
        """
        bounds = limits or Limits()
        if self.late is not None:
            await self.late.open()
        if self._decisions is not None:
            self._decisions.start()
        try:
            async with (
                self._outlets.running(),
                self.uplink,
                self.memory.running(),
                anyio.create_task_group() as helpers,
            ):
                helpers.start_soon(self._share.run)
                helpers.start_soon(self._report)
                if self.late is not None:
                    helpers.start_soon(self.late.run)
                helpers.start_soon(self._obey, bounds.seconds)
                async with anyio.create_task_group() as cameras:
                    for supervisor in self._supervisors:
                        cameras.start_soon(supervisor.run, bounds.max_frames)
                    if on_ready is not None:
                        on_ready()
                await self.memory.drain(self._settings.run.drain_timeout_s)
                helpers.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._share.close)
                if self._decisions is not None:
                    await anyio.to_thread.run_sync(self._decisions.close)
        self._log_statuses("done")
        for supervisor in self._supervisors:
            if supervisor.failure is not None:
                raise supervisor.failure

    def _spooling(self, registry: CollectorRegistry) -> LateSender | None:
        """What keeps questions on disk, where that is wanted and there is a cloud at all."""
        uplink = self._settings.uplink
        if not (uplink.enabled and uplink.spool.enabled):
            return None
        spool = Spool(spool_folder(uplink.spool, os.environ), uplink.spool, self._clock.wall)
        return LateSender(spool, self.uplink, self.controller, uplink.spool, self._clock, registry)

    def _logging(self, registry: CollectorRegistry) -> DecisionLog | None:
        settings = self._settings.decisions
        if not settings.enabled:
            return None
        folder = decisions_folder(settings, os.environ)
        return DecisionLog(folder, settings, self._clock, registry)

    def _recorder(self, camera: str, pipeline: PipelineSettings, session: str) -> Recorder | None:
        """What takes down a new pipeline's decisions, under a header of its own."""
        if self._decisions is None:
            return None
        settings, info = self._settings, self._info
        (own,) = (one.budget for one in settings.cameras if one.id == camera)
        policy = PolicySettings(
            gate=pipeline.gate,
            regions=pipeline.regions,
            fusion=pipeline.fusion,
            budget=settings.budget,
            camera_budget=own,
            trust=pipeline.trust,
            answer_within_s=settings.uplink.answer_within_s or settings.uplink.timeout_s,
        )
        self._decisions.begin(
            LogHeader(
                camera,
                self._share.names,
                policy.document(),
                f"{info.name} {info.version}".strip(),
                self._gate.fingerprint,
                session,
                self._clock.wall(),
                SOFTWARE,
            )
        )
        wanted = frozenset(pipeline.gate.classes) & frozenset(self._share.names)
        return Recorder(settings.decisions, pipeline, wanted or None)

    def _pipeline(
        self, camera: str, first_track_id: int, known: Recollection | None
    ) -> CameraPipeline:
        session = secrets.token_hex(6)
        return CameraPipeline(
            camera,
            self._gate.pipeline,
            self._share.names,
            self._clock,
            session=session,
            risk=self._gate.risk,
            first_track_id=first_track_id,
            known=known,
            recorder=self._recorder(camera, self._gate.pipeline, session),
            carrier=make_carrier(self._gate.pipeline),
            fingerprint=self._gate.fingerprint,
        )

    async def _obey(self, seconds: float | None) -> None:
        """Stop the cameras when told to, or when the time is up."""
        if seconds is None:
            await self._stop.wait()
        else:
            with anyio.move_on_after(seconds):
                await self._stop.wait()
        for supervisor in self._supervisors:
            supervisor.stop()

    async def _report(self) -> None:
        """Log a line about each camera now and then."""
        while True:
            await anyio.sleep(self._settings.run.status_every_s)
            self._log_statuses("status")

    def _log_statuses(self, event: str) -> None:
        for status in self.statuses:
            _log.info(event, uplink=self.uplink.state.value, **status.summary())
        for resource, shares in self.controller.shares().items():
            for one in shares:
                _log.info(
                    event,
                    budget=resource,
                    camera=one.camera,
                    per_s=round(one.granted, 3),
                    why=one.reason,
                )
        if self._settings.memory.enabled:
            _log.info(event, **self.memory.totals.summary())
