"""The capture of one camera: a process that decodes, restarted when it dies, and its frames."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from types import TracebackType

import anyio
import anyio.abc
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.capture.captured import CapturedFrame, CaptureStats
from secondlook.edge.capture.events import (
    Arrived,
    CaptureProcessDied,
    Event,
    Looped,
    Opened,
    Quiet,
    Stalled,
)
from secondlook.edge.capture.mailbox import Mailbox
from secondlook.edge.capture.messages import Order
from secondlook.edge.capture.position import Position
from secondlook.edge.capture.process import CaptureProcess, start_capture
from secondlook.edge.capture.protocol import SourceInfo, SourceOptions
from secondlook.edge.capture.session import Outcome, Session
from secondlook.edge.capture.settings import CaptureSettings, Overflow, Pacing
from secondlook.edge.capture.tally import CaptureState, Tally
from secondlook.shared.clock import Clock
from secondlook.shared.errors import SecondlookError, SourceError
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Frame

__all__ = ["CameraCapture", "CaptureState", "CaptureStats", "CapturedFrame"]

SOURCE_FACTORY = "secondlook.edge.capture.sources:source_for"
"""What makes sources in the capture process."""

_log = get_logger(__name__)


class CameraCapture:
    """Captures one camera in a process of its own; one task reads `frames`.

    ::

        async with CameraCapture("gate", url, settings, clock, registry) as capture:
            async for captured in capture.frames():
                ...

    A live source that fails, stalls or ends is reconnected for ever, with growing pauses; a
    recording whose decoder crashes is resumed behind the last frame that was delivered, up to
    ``settings.max_crashes`` times at one place. Sequence numbers count every frame of the stream
    and continue over reconnects.

    Attributes:
        camera: id of the camera.
        address: its URL, understood.
        info: what the source said when it was opened last; ``None`` before.

    Args:
        camera: id of the camera.
        url: see `SourceAddress`.
        settings: see `CaptureSettings`.
        clock: stamps the frames.
        registry: where the metrics go.
        factory: ``module:function`` that makes the source, for sources of one's own.

    Raises:
        InvalidInput: the URL can never work.
    """

    def __init__(
        self,
        camera: str,
        url: str,
        settings: CaptureSettings,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        factory: str = SOURCE_FACTORY,
    ) -> None:
        self.camera = camera
        self.address = SourceAddress.parse(url)
        self.info: SourceInfo | None = None
        self._settings = settings
        self._clock = clock
        self._factory = factory
        self._log = _log.bind(camera=camera, source=self.address.shown)
        self._tasks: anyio.abc.TaskGroup | None = None
        self._state = CaptureState.CONNECTING
        self._state_changed: anyio.Event | None = None
        self._tally = Tally(camera, registry)
        self._position = Position()
        self._mailbox = Mailbox(self._ask)
        self._session: Session | None = None

    @property
    def state(self) -> CaptureState:
        """What the capture is doing."""
        return self._state

    @property
    def stats(self) -> CaptureStats:
        """Counts since the start."""
        return self._tally.stats

    @property
    def process_id(self) -> int | None:
        """Of the capture process of the moment; ``None`` between two of them."""
        return None if self._session is None else self._session.process.pid

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._supervise)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._mailbox.clear()
        self._tasks.cancel_scope.cancel()
        if error is not None and not isinstance(error, anyio.get_cancelled_exc_class()):
            # The body's own error goes on as it is: the group would wrap it, or swallow it.
            await self._tasks.__aexit__(None, None, None)
            return None
        return await self._tasks.__aexit__(kind, error, trace)

    async def frames(self) -> AsyncIterator[CapturedFrame]:
        """The frames, until the recording ends; a live stream never does.

        Raises:
            SecondlookError: the source failed for good: `SourceError` names it; `InvalidInput`
                or `MissingDependency` where the URL or the machine must change first.
        """
        while True:
            arrived = await self._mailbox.take()
            if arrived is None:
                return
            yield self._captured(arrived)

    async def wait_state(self, *states: CaptureState) -> None:
        """Wait until the capture is in one of ``states``; may miss one that lasts an instant."""
        while self._state not in states:
            if self._state_changed is None:
                self._state_changed = anyio.Event()
            await self._state_changed.wait()

    def _captured(self, arrived: Arrived) -> CapturedFrame:
        self._tally.handed_out()
        header = arrived.header
        age_s = 0.0
        if self._settings.pacing is Pacing.REALTIME or (self.info is not None and self.info.live):
            # Both processes read the same monotonic clock of the machine.
            age_s = max(0.0, time.monotonic() - header.taken_s)
        frame = Frame.of(
            arrived.image,
            camera=self.camera,
            sequence=header.sequence,
            captured_s=self._clock.monotonic() - age_s,
            captured_at=self._clock.wall() - age_s,
        )
        copied = header.width * header.height * 3 + arrived.copied
        return CapturedFrame(
            frame, header.media_s, arrived.truth, arrived.ignore, header.decode_s, copied
        )

    def _ask(self) -> None:
        if self._session is not None:
            self._session.ask()

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        finally:
            # Whatever ended this: the consumer, who may live in another task, must not wait on.
            self._mailbox.close()

    async def _keep_running(self) -> None:
        """Run capture processes until the stream ends or is given up."""
        attempt = crashes = 0
        while True:
            before = self._position.sequence
            self._enter(CaptureState.CONNECTING)
            outcome = await self._run()
            if outcome.failure is None:
                self._enter(CaptureState.ENDED)
                self._mailbox.close()
                return
            progress = self._position.sequence > before
            attempt = 0 if progress else attempt + 1
            crashes = 1 if progress else crashes + 1
            final = self._final(outcome.failure, crashes)
            if final is not None:
                self._enter(CaptureState.FAILED, reason=final.message)
                self._mailbox.close(final)
                return
            delay_s = self._delay_s(attempt)
            reason = outcome.failure.message
            self._enter(CaptureState.BACKING_OFF, reason=reason, retry_in_s=round(delay_s, 2))
            await anyio.sleep(delay_s)
            self._tally.restarted()

    def _final(self, failure: SecondlookError, crashes: int) -> SecondlookError | None:
        """The error to give up with; ``None`` where another attempt makes sense."""
        if failure.retriable and self.address.kind.persistent:
            return None
        if not isinstance(failure, CaptureProcessDied):
            return failure
        if crashes < self._settings.max_crashes:
            return None
        return SourceError(
            f"{self.address.shown}: the decoder died {crashes} times at frame "
            f"{self._position.sequence}; the last time: {failure.message}",
            remedy="the recording is probably corrupt there; re-encode it",
        )

    def _delay_s(self, attempt: int) -> float:
        grown_s = self._settings.backoff_initial_s * 2.0 ** min(attempt, 30)
        # Cameras behind one switch come back together; they should not all be asked at once.
        return min(self._settings.backoff_max_s, grown_s) * random.uniform(0.5, 1.0)

    async def _run(self) -> Outcome:
        """Run one capture process to its end."""
        try:
            process = await start_capture(self._order())
        except SourceError as error:
            return Outcome(error)
        settings = self._settings
        self._session = Session(
            process,
            self._mailbox,
            settings.open_timeout_s,
            settings.stall_timeout_s,
            self._heed,
        )
        try:
            outcome = await self._session.run()
        finally:
            self._session = None
        if outcome.failure is None and self.info is not None and self.info.live:
            return Outcome(SourceError(f"{self.address.shown}: the stream ended"))
        if isinstance(outcome.failure, CaptureProcessDied):
            return Outcome(self._explained(process, outcome))
        return outcome

    def _heed(self, event: Event) -> None:
        if isinstance(event, Arrived):
            header = event.header
            if self._state is not CaptureState.RUNNING:
                backend = "" if self.info is None else self.info.backend
                size = f"{header.width}x{header.height}"
                self._enter(CaptureState.RUNNING, size=size, backend=backend)
            self._position.arrived(header, time.monotonic())
            self._tally.counted(header.counts, event.copied)
            if self._mailbox.put(event):
                self._tally.replaced()
        elif isinstance(event, Opened):
            self.info = event.info
            self._mailbox.lossless = event.overflow == Overflow.BLOCK.value
        elif isinstance(event, Quiet):
            self._tally.counted(event.counts)
        elif isinstance(event, Looped):
            self._position.looped(event)
        elif isinstance(event, Stalled):
            self._enter(CaptureState.STALLED, silent_s=round(event.seconds, 2))

    def _order(self) -> Order:
        settings = self._settings
        resume = self._position.resume(self.address.kind.persistent, time.monotonic())
        return Order(
            url=self.address.url,
            factory=self._factory,
            options=SourceOptions(
                fps=settings.fps,
                open_timeout_s=settings.open_timeout_s,
                read_timeout_s=settings.stall_timeout_s,
                decode_threads=settings.decode_threads,
                rtsp_transport=settings.rtsp_transport.value,
            ),
            analysis_fps=settings.analysis_fps,
            realtime=settings.pacing is Pacing.REALTIME,
            speed=settings.speed,
            overflow="" if settings.overflow is None else settings.overflow.value,
            loop=settings.loop,
            slots=settings.slots,
            skip=resume.skip,
            sequence=resume.sequence,
            media_offset_s=resume.media_offset_s,
        )

    def _explained(self, process: CaptureProcess, outcome: Outcome) -> SecondlookError:
        """Count a death, and say what is known about it."""
        assert outcome.failure is not None
        self._tally.crashed()
        if process.stderr:
            self._log.warning("capture process said", lines=list(process.stderr))
        how = outcome.failure.message if outcome.stalled else process.status
        return CaptureProcessDied(
            f"{self.address.shown}: the capture process died at frame "
            f"{self._position.sequence}: {how}"
        )

    def _enter(self, state: CaptureState, **why: object) -> None:
        self._state = state
        self._tally.state(state)
        if self._state_changed is not None:
            self._state_changed.set()
            self._state_changed = None
        bad = state in (CaptureState.STALLED, CaptureState.BACKING_OFF, CaptureState.FAILED)
        log = self._log.warning if bad else self._log.info
        log("capture", state=state.value, **why)
