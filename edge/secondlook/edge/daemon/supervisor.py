"""Keeps one camera going: what goes wrong in it stays in it."""

from __future__ import annotations

import random
import secrets
import traceback
from collections.abc import Callable

import anyio
import anyio.to_thread

from secondlook.edge.capture.settings import Pacing
from secondlook.edge.daemon.camera import CameraLoop, SourceGaveUp
from secondlook.edge.daemon.protocol import CaptureFactory
from secondlook.edge.daemon.status import CameraStatus, Phase
from secondlook.edge.daemon.surroundings import Surroundings
from secondlook.edge.memory.notes import Recollection
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.settings import CameraSettings, EdgeSettings
from secondlook.edge.still import MotionFilter
from secondlook.edge.uplink.settings import Overflow
from secondlook.shared.errors import SecondlookError
from secondlook.shared.telemetry import bind, get_logger

_log = get_logger(__name__)

PipelineFactory = Callable[[str, int, Recollection | None], CameraPipeline]
"""A pipeline for a camera id, whose track ids begin at a number, and what it is to know."""


class CameraSupervisor:
    """Runs one camera from its start to its end.

    A source that gives up ends its camera; anything unexpected is logged with an incident id, and
    the camera starts again with a fresh pipeline after a growing pause.

    Args:
        camera: settings of the camera.
        settings: of the daemon.
        around: what all cameras share.
        captures: makes captures.
        pipelines: makes pipelines.
        status: counts for people.
    """

    def __init__(
        self,
        camera: CameraSettings,
        settings: EdgeSettings,
        around: Surroundings,
        captures: CaptureFactory,
        pipelines: PipelineFactory,
        status: CameraStatus,
    ) -> None:
        self._camera = camera
        self._settings = settings
        self._around = around
        self._captures = captures
        self._pipelines = pipelines
        self._status = status
        self._stopping = False
        self._capturing: anyio.CancelScope | None = None
        self._next_track_id = 1
        self.failure: SecondlookError | None = None

    def stop(self) -> None:
        """Take no more frames; what was asked may still be answered."""
        self._stopping = True
        if self._capturing is not None:
            self._capturing.cancel()

    async def run(self, max_frames: int | None) -> None:
        """Run until the camera ends, fails for good, or `stop`."""
        failures = 0
        with bind(camera=self._camera.id):
            while not self._stopping:
                answers = self._status.answers
                try:
                    await self._run_once(max_frames)
                except SourceGaveUp as gone:
                    self._fail(gone.error)
                    return
                except SecondlookError as error:
                    # The capture could not even be set up: settings or machine must change.
                    self._fail(error)
                    return
                except Exception as error:  # noqa: BLE001 - one camera's bug must not stop the others
                    failures = 1 if self._status.answers > answers else failures + 1
                    await self._pause(error, failures)
                else:
                    break
            self._status.phase = Phase.ENDED
            _log.info("camera ended", answers=self._status.answers)

    async def _run_once(self, max_frames: int | None) -> None:
        known = await self._around.memory.recall(self._camera.id)
        pipeline = self._pipelines(self._camera.id, self._next_track_id, known)
        loop = CameraLoop(
            self._camera.id,
            pipeline,
            MotionFilter(self._settings.motion),
            self._around,
            self._status,
            block=self._blocks(),
        )
        try:
            await self._drive(loop, max_frames)
            await loop.finish()
        finally:
            self._next_track_id = pipeline.next_track_id
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(loop.close)

    async def _drive(self, loop: CameraLoop, max_frames: int | None) -> None:
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(loop.fold)
            try:
                await self._capture(loop, max_frames)
            except Exception as error:  # noqa: BLE001 - raised below: the group would wrap it
                failure = error
            if failure is None or isinstance(failure, SourceGaveUp):
                self._status.phase = Phase.DRAINING
                with anyio.move_on_after(self._settings.run.drain_timeout_s):
                    await loop.drain()
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _capture(self, loop: CameraLoop, max_frames: int | None) -> None:
        """Answer frames until the recording ends or `stop`."""
        with anyio.CancelScope() as self._capturing:
            if self._stopping:
                self._capturing.cancel()
            async with self._captures(self._camera) as capture:
                self._status.phase = Phase.RUNNING
                self._status.problem = ""
                await loop.run(capture, max_frames)

    def _blocks(self) -> bool:
        overflow = self._settings.uplink.overflow
        asap = self._camera.pacing is Pacing.ASAP
        return overflow is Overflow.BLOCK or (overflow is Overflow.AUTO and asap)

    def _fail(self, error: SecondlookError) -> None:
        self.failure = error
        self._status.phase = Phase.FAILED
        self._status.problem = error.message
        _log.error("camera failed", error=str(error))

    async def _pause(self, error: Exception, failures: int) -> None:
        """Report something unexpected and wait before the camera starts again."""
        incident = secrets.token_hex(6)
        run = self._settings.run
        grown_s = run.restart_initial_s * 2.0 ** min(failures - 1, 30)
        delay_s = min(run.restart_max_s, grown_s) * random.uniform(0.5, 1.0)
        self._status.phase = Phase.WAITING
        self._status.restarts += 1
        self._status.problem = f"incident {incident}: {type(error).__name__}"
        self._around.meter.restarts.labels(self._camera.id).inc()
        # Formatting reads source files from the disk: not on the event loop.
        trace = await anyio.to_thread.run_sync(_formatted, error)
        _log.error(
            "camera broke down; it starts again",
            incident=incident,
            retry_in_s=round(delay_s, 2),
            exception=trace,
        )
        with anyio.CancelScope() as self._capturing:
            await anyio.sleep(delay_s)
        self._capturing = None


def _formatted(error: Exception) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
