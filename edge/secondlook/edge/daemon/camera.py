"""One camera of the daemon: frames in, answers out, verdicts folded in as they come."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio

from secondlook.edge.capture.captured import CapturedFrame
from secondlook.edge.control import Allowance
from secondlook.edge.daemon.asking import LEAST_BYTES, Asking, Way
from secondlook.edge.daemon.inbox import Inbox
from secondlook.edge.daemon.protocol import Capture
from secondlook.edge.daemon.status import CameraStatus
from secondlook.edge.daemon.surroundings import Surroundings
from secondlook.edge.daemon.trust import TrustDesk
from secondlook.edge.decisions import WayRecord
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.sinks.protocol import Event
from secondlook.edge.still import MotionFilter
from secondlook.edge.uplink.late import LateVerdict
from secondlook.shared.errors import InvalidInput, ModelFailure, SecondlookError
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Detections, Escalation, Observation, Verdict

_log = get_logger(__name__)
_T = TypeVar("_T")
_MEDIA_TIMES = 1024
"""Frames whose time in the stream is kept for revisions; far more than the history has."""


class SourceGaveUp(Exception):
    """The capture failed for good; carries its error."""

    def __init__(self, error: SecondlookError) -> None:
        super().__init__(str(error))
        self.error = error


class CameraLoop:
    """Drives the pipeline of one camera. All its computing is done in a thread of its own.

    Args:
        camera: id of the camera.
        pipeline: what to drive.
        motion: which frames need no detector.
        around: what it shares with other cameras.
        status: counts for people.
        block: whether it waits where questions come faster than they can be sent.
    """

    def __init__(
        self,
        camera: str,
        pipeline: CameraPipeline,
        motion: MotionFilter,
        around: Surroundings,
        status: CameraStatus,
        *,
        block: bool,
    ) -> None:
        self._camera = camera
        self._pipeline = pipeline
        self._motion = motion
        self._around = around
        self._status = status
        self._inbox = Inbox()
        self._asking = Asking(camera, around, status, self._inbox, self._by_itself, block=block)
        self._trust = TrustDesk(camera, around, status)
        self._thread = ThreadPoolExecutor(1, f"camera-{camera}")
        if pipeline.way is not None:
            around.meter.ways.shows(camera, pipeline.way.mode)
        self._site_trust: dict[str, TrustWindow] = {}
        self._last: Detections | None = None
        self._media_s: OrderedDict[int, float] = OrderedDict()

    async def run(self, capture: Capture, max_frames: int | None) -> None:
        """Answer frames until the recording ends or ``max_frames`` are answered.

        Raises:
            SourceGaveUp: the source failed for good.
        """
        frames = capture.frames()
        while max_frames is None or self._status.answers < max_frames:
            captured = await _next(frames)
            if captured is None:
                return
            await self._answer(captured)
            # Frames are lent memory: none is held while the next is awaited.
            del captured

    async def fold(self) -> None:
        """Take in replies of the cloud until cancelled."""
        if self._around.late is not None:
            self._around.late.receive(self._camera, self._late)
        while True:
            settled = await self._inbox.take()
            if isinstance(settled, Verdict):
                self._asking.settled(settled.request_id)
                await self._revise(settled)
            else:
                self._asking.settled(settled[0].request_id)
                await self._give_up(*settled)
            self._inbox.taken()

    async def drain(self) -> None:
        """Return once every question has its reply; `fold` must be running."""
        if self._around.late is not None:
            self._around.late.receive(self._camera, None)
        await self._inbox.wait_quiet()

    async def finish(self) -> None:
        """Write down what the pipeline still counts; nothing is answered any more."""
        left = await self._asking.leave()
        if left:
            self._status.lost += left
            self._around.meter.lost.labels(self._camera, "Unfinished").inc(left)
        notes, news = await self._step(
            lambda: (self._pipeline.take_notes(last=True), self._pipeline.take_trust())
        )
        self._around.memory.note(self._camera, notes)
        self._trust.tell(news)

    def close(self) -> None:
        """Let the thread go."""
        if self._around.late is not None:
            self._around.late.receive(self._camera, None)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _answer(self, captured: CapturedFrame) -> None:
        # A frame that was taken is answered, also where the camera is stopped just now: a verdict
        # may revise what the pipeline has seen.
        with anyio.CancelScope(shield=True):
            observation, allowance = await self._publish(captured)
        await self._ask(captured, observation, allowance)
        if self._pipeline.rehearses:
            # After the answer and the question: nobody waits for it.
            await self._look_twice(captured, allowance)

    async def _publish(self, captured: CapturedFrame) -> tuple[Observation, Allowance]:
        """Answer a frame; returns what was said, and what might be spent."""
        frame, media_s, around = captured.frame, captured.media_s, self._around
        detections = await self._detect(captured)
        self._pipeline.packer.stateless = not around.uplink.takes_canvases
        allowance, away = self._asking.allowance(), self._asking.away()
        await self._adopt()
        observation = await self._compute(
            lambda: self._pipeline.answer(
                frame, detections, media_s=media_s, allowance=allowance, away=away
            )
        )
        self._count(observation)
        self._media_s[frame.ref.sequence] = media_s
        while len(self._media_s) > _MEDIA_TIMES:
            self._media_s.popitem(last=False)
        image = frame.image if around.outlets.want_images else None
        around.outlets.put(Event(observation, media_s, image))
        return observation, allowance

    async def _ask(
        self, captured: CapturedFrame, observation: Observation, allowance: Allowance
    ) -> None:
        """Send what the gate wants to know about an answered frame, or keep it."""
        frame, around = captured.frame, self._around
        decision = observation.decision
        if decision is None or not decision.regions:
            return
        # What cannot go now is not encoded, unless it is kept for later.
        way = self._asking.way(decision.purpose, allowance)
        if way is Way.NOWHERE:
            self._held(observation)
            return
        self._pipeline.model = around.memory.model_of(self._camera)
        alone = way is Way.DISK
        # What is decided is asked, kept or counted, also where the camera is stopped just now.
        with anyio.CancelScope(shield=True):
            escalation = await self._compute(
                lambda: self._pipeline.escalation(frame, observation, alone=alone)
            )
        if escalation is None:
            return
        await self._send(escalation, way, allowance)

    async def _send(self, escalation: Escalation, way: Way, allowance: Allowance) -> None:
        went = await self._asking.ask(escalation, way, late=allowance.late)
        if went is Way.NOWHERE:
            why = "no budget was left"
            await self._compute(lambda: self._pipeline.asked_failed(escalation, why=why))
        elif went is Way.DISK:
            await self._compute(lambda: self._pipeline.not_sent(escalation))

    async def _look_twice(self, captured: CapturedFrame, allowance: Allowance) -> None:
        """Let the pipeline try out other ways of working, and ask what it needs for that."""
        ask = self._around.uplink.accepting and allowance.affords(LEAST_BYTES)
        with anyio.CancelScope(shield=True):
            again = await self._compute(lambda: self._pipeline.rehearse(captured.frame, ask=ask))
        if again is not None:
            await self._send(again, Way.NOW, allowance)

    async def _adopt(self) -> None:
        """Let the pipeline know what its site has certified meanwhile."""
        windows = self._around.memory.site_trust(self._camera)
        if windows is not self._site_trust:
            self._site_trust = windows
            await self._compute(lambda: self._pipeline.adopt(windows))

    async def _by_itself(self, escalation: Escalation) -> Escalation | None:
        return await self._step(lambda: self._pipeline.by_itself(escalation))

    def _held(self, observation: Observation) -> None:
        """Log why a question never left."""
        if self._around.decisions is not None:
            away = not self._around.uplink.accepting
            why = "the cloud could not be reached" if away else "no budget was left"
            held = WayRecord(observation.frame.sequence, "", "held", why)
            self._around.decisions.put(self._camera, [held])

    async def _detect(self, captured: CapturedFrame) -> Detections:
        """The boxes of a frame; none where the model gave nonsense."""
        image = captured.frame.image
        if await self._step(lambda: self._motion.skips(image)) and self._last is not None:
            self._status.still += 1
            self._around.meter.still.labels(self._camera).inc()
            return self._last
        try:
            self._last = await self._around.share.detect(self._camera, image)
        except (ModelFailure, InvalidInput) as error:
            self._status.failed_frames += 1
            self._around.meter.failed.labels(self._camera).inc()
            _log.warning("frame failed", sequence=captured.frame.ref.sequence, error=str(error))
            return Detections.empty(self._around.share.names)
        return self._last

    async def _revise(self, verdict: Verdict) -> None:
        gate = self._around.gate
        remark = None if gate is None else gate.remark_on_heavy(verdict.model, verdict.version)
        if remark is not None:
            _log.warning(remark, camera=self._camera)
        self._status.verdicts += 1
        self._around.meter.verdicts.labels(self._camera).inc()
        for observation in await self._compute(lambda: self._pipeline.apply(verdict)):
            self._status.revisions += 1
            self._around.meter.revisions.labels(self._camera).inc()
            media_s = self._media_s.get(observation.frame.sequence, 0.0)
            self._around.outlets.put(Event(observation, media_s))

    async def _give_up(self, escalation: Escalation, error: SecondlookError) -> None:
        if await self._asking.keep_failed(escalation, error):
            await self._compute(lambda: self._pipeline.not_sent(escalation, error))
            return
        self._status.lost += 1
        self._around.meter.lost.labels(self._camera, type(error).__name__).inc()
        await self._compute(lambda: self._pipeline.asked_failed(escalation, error))

    def _late(self, late: LateVerdict) -> None:
        """A verdict on a question that waited on disk: it is taken in like any other."""
        self._status.late_verdicts += 1
        self._around.meter.late_verdicts.labels(self._camera).inc()
        self._inbox.asked()
        self._inbox.verdict(late.verdict)

    def _count(self, observation: Observation) -> None:
        latency_s = observation.latency_s or 0.0
        self._status.answered(self._around.clock.monotonic(), latency_s)
        self._around.meter.answers.labels(self._camera).inc()
        self._around.meter.latency.labels(self._camera).observe(latency_s)

    async def _compute(self, work: Callable[[], _T]) -> _T:
        """Run a step of the pipeline, and hand on what it wants remembered."""
        pipeline = self._pipeline
        result, notes, records, news, ways = await self._step(
            lambda: (
                work(),
                pipeline.take_notes(),
                pipeline.take_records(),
                pipeline.take_trust(),
                pipeline.take_ways(),
            )
        )
        self._around.meter.ways.changed(self._camera, ways)
        self._around.memory.note(self._camera, notes)
        self._trust.tell(news)
        if self._around.decisions is not None:
            self._around.decisions.put(self._camera, records)
        return result

    async def _step(self, work: Callable[[], _T]) -> _T:
        """Run something in this camera's thread; steps never overlap."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # A step is never left half done: it ends before the cancellation goes on.
            with anyio.CancelScope(shield=True):
                await asyncio.wait([running])
            raise


async def _next(frames: AsyncIterator[CapturedFrame]) -> CapturedFrame | None:
    try:
        return await anext(frames)
    except StopAsyncIteration:
        return None
    except SecondlookError as error:
        raise SourceGaveUp(error) from error
