"""The capture of one camera: a process that decodes, restarted when it dies, and its frames."""

from __future__ import annotations

import math
import random
import signal
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType

import anyio
import anyio.abc
import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.capture.messages import Order
from secondlook.edge.capture.metrics import CaptureState, metrics_of
from secondlook.edge.capture.process import (
    Arrived,
    CaptureProcess,
    CaptureProcessDied,
    Ended,
    Event,
    Looped,
    Opened,
    Quiet,
    Ready,
    start_capture,
)
from secondlook.edge.capture.protocol import SourceInfo, SourceOptions
from secondlook.edge.capture.settings import CaptureSettings, Overflow, Pacing
from secondlook.shared.clock import Clock
from secondlook.shared.errors import SecondlookError, SourceError
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Detections, Frame

__all__ = ["CameraCapture", "CaptureState", "CaptureStats", "CapturedFrame"]

SOURCE_FACTORY = "secondlook.edge.capture.sources:source_for"
"""What makes sources in the capture process."""

_START_TIMEOUT_S = 60.0  # a process that has not even started by then never will
_OPEN_GRACE_S = 2.0  # the source's own time-out comes first, and says more
_PREFETCH = 2  # frames decoded ahead, where nothing may be lost

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CapturedFrame:
    """A frame, and what its source knows about it.

    Attributes:
        frame: the frame. Its image is read-only shared memory, lent until it and all views of it
            are dropped; keep crops of it rather than it.
        media_s: time in the stream, seconds; never goes back, also not over a reconnect.
        truth: what is really there (``sim://`` only).
        ignore: bool (n,), rows of ``truth`` that do not count (``sim://`` only).
        decode_s: seconds the decoder worked for it, skipped frames included; for a live stream
            with the waiting for data.
        bytes_copied: bytes of pixels copied for it, in both processes.
    """

    frame: Frame
    media_s: float
    truth: Detections | None = None
    ignore: npt.NDArray[np.bool_] | None = None
    decode_s: float = 0.0
    bytes_copied: int = 0


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """Counts since the start.

    Attributes:
        frames: frames handed out.
        dropped: frames lost because a newer one came before anyone asked.
        skipped: frames passed over by the analysis rate.
        restarts: capture processes started after the first.
        crashes: capture processes that died without a word.
        bytes_copied: bytes of pixels copied, in both processes.
    """

    frames: int = 0
    dropped: int = 0
    skipped: int = 0
    restarts: int = 0
    crashes: int = 0
    bytes_copied: int = 0


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
        self._metrics = metrics_of(registry)
        self._log = _log.bind(camera=camera)
        self._tasks: anyio.abc.TaskGroup | None = None
        self._state = CaptureState.CONNECTING
        self._frames = self._dropped = self._skipped = 0
        self._restarts = self._crashes = self._copied = 0
        # Where the stream is: for numbering, and for resuming after a crash.
        self._sequence = 0
        self._pass_sequence = 0
        self._pass_media_s = 0.0
        self._media_s = 0.0
        self._arrived_s = 0.0
        # The process of the moment, what it was asked for, and how long it may stay silent.
        self._process: CaptureProcess | None = None
        self._block = False
        self._outstanding = 0
        self._counted = (0, 0, 0)
        self._patience_s = _START_TIMEOUT_S
        self._heard_s = 0.0
        self._opened = False
        self._watch: anyio.CancelScope | None = None
        # What waits for the consumer.
        self._held: deque[Arrived] = deque()
        self._consumer: anyio.Event | None = None
        self._over = False
        self._error: SecondlookError | None = None

    @property
    def state(self) -> CaptureState:
        """What the capture is doing."""
        return self._state

    @property
    def stats(self) -> CaptureStats:
        """Counts since the start."""
        return CaptureStats(
            self._frames,
            self._dropped,
            self._skipped,
            self._restarts,
            self._crashes,
            self._copied,
        )

    @property
    def process_id(self) -> int | None:
        """Of the capture process of the moment; ``None`` between two of them."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        self._metrics.state.labels(self.camera).state(self._state.value)
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
        self._held.clear()
        self._tasks.cancel_scope.cancel()
        if isinstance(error, Exception):
            # The body's own error: the group would wrap it.
            kind = error = trace = None
        return await self._tasks.__aexit__(kind, error, trace)

    async def frames(self) -> AsyncIterator[CapturedFrame]:
        """The frames, until the recording ends; a live stream never does.

        Raises:
            SecondlookError: the source failed for good: `SourceError` names it; `InvalidInput`
                or `MissingDependency` where the machine or the URL must change first.
        """
        while True:
            arrived = await self._take()
            if arrived is None:
                return
            yield self._captured(arrived)

    # -- the consumer's side ---------------------------------------------------------------------

    async def _take(self) -> Arrived | None:
        while not self._held:
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            self._consumer = anyio.Event()
            try:
                self._ask()
                await self._consumer.wait()
            finally:
                self._consumer = None
        arrived = self._held.popleft()
        self._ask()
        return arrived

    def _ask(self) -> None:
        """Grant the credits that are due: frames ahead, or the one that someone waits for."""
        if self._process is None:
            return
        if self._block:
            due = _PREFETCH - len(self._held) - self._outstanding
        else:
            # A frame that arrived for a consumer who left must not grow old: replace it.
            wanted = self._consumer is not None or bool(self._held)
            due = int(wanted) - self._outstanding
        if due > 0 and self._outstanding == 0:
            self._heard_s = anyio.current_time()
        for _ in range(due):
            self._outstanding += 1
            self._process.grant()
        self._set_deadline()

    def _wake(self) -> None:
        if self._consumer is not None:
            self._consumer.set()

    def _captured(self, arrived: Arrived) -> CapturedFrame:
        header = arrived.header
        age_s = 0.0
        if self._settings.pacing is Pacing.REALTIME or (self.info is not None and self.info.live):
            # Both processes read the same monotonic clock of the machine.
            age_s = max(0.0, time.monotonic() - header.taken_s)
        self._frames += 1
        self._metrics.frames.labels(self.camera).inc()
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

    # -- the supervisor's side -------------------------------------------------------------------

    async def _supervise(self) -> None:
        """Run capture processes until the stream ends or is given up."""
        attempt = crashes = 0
        while True:
            before = self._sequence
            self._enter(CaptureState.CONNECTING)
            failure = await self._run_process()
            if failure is None:
                self._enter(CaptureState.ENDED)
                self._over = True
                self._wake()
                return
            progress = self._sequence > before
            attempt = 0 if progress else attempt + 1
            crashes = 1 if progress else crashes + 1
            final = self._final(failure, crashes)
            if final is not None:
                self._error = final
                self._enter(CaptureState.FAILED, reason=str(final))
                self._wake()
                return
            delay_s = self._delay_s(attempt)
            self._enter(CaptureState.BACKING_OFF, reason=str(failure), retry_in_s=round(delay_s, 2))
            await anyio.sleep(delay_s)
            self._restarts += 1
            self._metrics.restarts.labels(self.camera).inc()

    def _final(self, failure: SecondlookError, crashes: int) -> SecondlookError | None:
        """The error to give up with; ``None`` where another attempt makes sense."""
        if not failure.retriable:
            return failure
        if self.address.kind.persistent:
            return None
        if not isinstance(failure, CaptureProcessDied):
            return failure
        if crashes < self._settings.max_crashes:
            return None
        return SourceError(
            f"{self.address.shown}: the decoder died {crashes} times at frame {self._sequence}; "
            f"the last time: {failure.message}",
            remedy="the recording is probably corrupt there; re-encode it",
        )

    def _delay_s(self, attempt: int) -> float:
        ceiling = min(
            self._settings.backoff_max_s, self._settings.backoff_initial_s * 2.0 ** min(attempt, 30)
        )
        # Cameras behind one switch come back together; they should not all be asked at once.
        return ceiling * random.uniform(0.5, 1.0)

    async def _run_process(self) -> SecondlookError | None:
        """Run one capture process to its end; what it failed with, ``None`` at the stream's end."""
        try:
            process = await start_capture(self._order())
        except SourceError as error:
            return error
        stalled = False
        failure: SecondlookError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(process.drain_stderr)
            self._process, self._outstanding, self._counted = process, 0, (0, 0, 0)
            self._patience_s, self._opened = _START_TIMEOUT_S, False
            self._heard_s = anyio.current_time()
            try:
                self._ask()
                stalled, failure = await self._listen(process)
            finally:
                self._process = self._watch = None
                if stalled:
                    await process.kill()
                await process.end()
        await process.close()
        if isinstance(failure, CaptureProcessDied):
            failure = self._explained(process, failure, stalled)
        return failure

    async def _listen(self, process: CaptureProcess) -> tuple[bool, SecondlookError | None]:
        """Handle what the process says: whether it stalled, and what it failed with."""
        while True:
            with anyio.CancelScope() as self._watch:
                self._set_deadline()
                try:
                    event = await process.receive()
                except SecondlookError as error:
                    return False, error
            if self._watch.cancelled_caught:
                silent_s = anyio.current_time() - self._heard_s
                self._enter(CaptureState.STALLED, reason=f"nothing for {silent_s:.1f} s")
                return True, CaptureProcessDied(
                    f"{self.address.shown}: nothing came for {silent_s:.1f} s"
                )
            self._heard_s = anyio.current_time()
            if isinstance(event, Ended):
                live = self.info is not None and self.info.live
                lost = SourceError(f"{self.address.shown}: the stream ended") if live else None
                return False, lost
            self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Arrived):
            self._patience_s = self._settings.stall_timeout_s
            self._arrive(event)
        elif isinstance(event, Quiet):
            self._patience_s = self._settings.stall_timeout_s + event.seconds
        elif isinstance(event, Ready):
            self._patience_s = self._settings.open_timeout_s + _OPEN_GRACE_S
        elif isinstance(event, Opened):
            self.info = event.info
            self._opened = True
            self._patience_s = self._settings.stall_timeout_s
            self._block = event.overflow == Overflow.BLOCK.value
            self._ask()
        elif isinstance(event, Looped):
            self._sequence = self._pass_sequence = event.sequence
            self._media_s = self._pass_media_s = event.media_s

    def _arrive(self, arrived: Arrived) -> None:
        header = arrived.header
        self._outstanding -= 1
        if self._state is not CaptureState.RUNNING:
            info = self.info
            self._enter(
                CaptureState.RUNNING,
                size=f"{header.width}x{header.height}",
                backend="" if info is None else info.backend,
            )
        self._sequence = header.sequence + 1
        self._media_s = header.media_s
        self._arrived_s = anyio.current_time()
        self._count(header.dropped, header.skipped, header.copied, arrived.copied)
        if self._held and not self._block:
            self._held.clear()
            self._dropped += 1
            self._metrics.dropped.labels(self.camera).inc()
        self._held.append(arrived)
        if self._consumer is None:
            self._ask()
        self._wake()

    def _count(self, dropped: int, skipped: int, copied: int, copied_here: int) -> None:
        """Take over the counters of the capture process, which start at 0 in each."""
        more = [
            now - then for now, then in zip((dropped, skipped, copied), self._counted, strict=True)
        ]
        self._counted = (dropped, skipped, copied)
        self._dropped += more[0]
        self._skipped += more[1]
        self._copied += more[2] + copied_here
        for counter, amount in (
            (self._metrics.dropped, more[0]),
            (self._metrics.skipped, more[1]),
            (self._metrics.copied_bytes, more[2] + copied_here),
        ):
            if amount > 0:
                counter.labels(self.camera).inc(amount)

    def _order(self) -> Order:
        settings = self._settings
        live = self.address.kind.persistent
        # A live stream begins anew, later; a recording goes on behind what was delivered.
        media_offset_s = self._pass_media_s
        if live and self._sequence:
            media_offset_s = self._media_s + anyio.current_time() - self._arrived_s
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
            overflow="" if settings.overflow is None else settings.overflow.value,
            loop=settings.loop,
            slots=settings.slots,
            skip=0 if live else self._sequence - self._pass_sequence,
            sequence=self._sequence,
            media_offset_s=media_offset_s,
        )

    def _explained(
        self, process: CaptureProcess, failure: CaptureProcessDied, stalled: bool
    ) -> CaptureProcessDied:
        self._crashes += 1
        self._metrics.crashes.labels(self.camera).inc()
        if process.stderr:
            self._log.warning("capture process said", lines=list(process.stderr))
        if stalled:
            return failure
        return CaptureProcessDied(
            f"{self.address.shown}: the capture process died "
            f"({_status(process.returncode)}) at frame {self._sequence}"
        )

    def _set_deadline(self) -> None:
        """A running process that owes no frame may be silent."""
        if self._watch is not None:
            owes = self._outstanding > 0 or not self._opened
            self._watch.deadline = self._heard_s + self._patience_s if owes else math.inf

    def _enter(self, state: CaptureState, **why: object) -> None:
        self._state = state
        self._metrics.state.labels(self.camera).state(state.value)
        bad = state in (CaptureState.STALLED, CaptureState.BACKING_OFF, CaptureState.FAILED)
        log = self._log.warning if bad else self._log.info
        log("capture", state=state.value, source=self.address.shown, **why)


def _status(returncode: int | None) -> str:
    """An exit status in words."""
    if returncode is not None and returncode < 0:
        try:
            return signal.Signals(-returncode).name
        except ValueError:
            return f"signal {-returncode}"
    return f"status {returncode}"
