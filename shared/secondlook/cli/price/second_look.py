"""Secondlook itself: the edge's real pipeline and the real way to the cloud, in the clip's time.

The clip is played faster or slower than real time, whatever the machine gives. So that this
changes no answer, a verdict is held back until it would have come: a question about the frame at
media time ``t`` that took ``L`` seconds, as measured here, is known to frames later than ``t + L``.
Frames in between are answered without it and revised when it comes. The cloud is taken to have a
free worker for each question, as for the baselines.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from prometheus_client import CollectorRegistry

from secondlook.cli.price.asking import TIMEOUT_S, Asker
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.system import Shot
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.uplink import Uplink, UplinkSettings, UplinkState
from secondlook.shared.clock import SystemClock
from secondlook.shared.detect import ModelInfo
from secondlook.shared.errors import SecondlookError, Unavailable
from secondlook.shared.measure import CountingProxy
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Escalation, Verdict

_log = get_logger(__name__)


@dataclass(order=True, slots=True)
class _Due:
    """A verdict on its way; ``None`` for a question that failed."""

    at_s: float
    index: int
    request_id: str = field(compare=False)
    verdict: Verdict | None = field(compare=False)


class SecondLook:
    """See the module.

    Args:
        pipeline: the edge's pipeline of one camera.
        proxy: the way to the cloud, counted.
        asker: asks through that proxy.
        timer: seconds, for how long things take.
    """

    def __init__(
        self,
        pipeline: CameraPipeline,
        proxy: CountingProxy,
        asker: Asker,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.ledger = Ledger("secondlook")
        self._pipeline = pipeline
        self._proxy = proxy
        self._asker = asker
        self._timer = timer
        self._due: list[_Due] = []
        self._at: dict[int, tuple[FrameAnswer, float]] = {}

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        self._deliver(shot.media_s)
        started = self._timer()
        observation = self._pipeline.answer(shot.frame, shot.light, media_s=shot.media_s)
        first_s = shot.light_s + self._timer() - started
        answer = FrameAnswer.once(observation.detections, first_s)
        self.ledger.answers.append(answer)
        self._at[shot.frame.ref.sequence] = (answer, shot.media_s)
        started = self._timer()
        escalation = self._pipeline.escalation(shot.frame, observation)
        if escalation is None:
            return
        verdict = await self._ask(escalation)
        asked_s = self._timer() - started
        due_s = shot.media_s + first_s + asked_s
        heapq.heappush(self._due, _Due(due_s, shot.index, escalation.request_id, verdict))

    async def finish(self) -> None:
        """See `System.finish`."""
        self._deliver(float("inf"))
        self.ledger.traffic = self._proxy.traffic

    async def _ask(self, escalation: Escalation) -> Verdict | None:
        self.ledger.escalations += 1
        verdict: Verdict | None = None
        try:
            verdict = await self._asker.ask(escalation)
            self.ledger.inferences += 1
        except SecondlookError as error:
            self.ledger.failures += 1
            _log.warning("no verdict", request_id=escalation.request_id, error=str(error))
        return verdict

    def _deliver(self, media_s: float) -> None:
        """Let the pipeline know what came before ``media_s``."""
        while self._due and self._due[0].at_s < media_s:
            due = heapq.heappop(self._due)
            if due.verdict is None:
                self._pipeline.asked_failed(due.request_id)
                continue
            for revised in self._pipeline.apply(due.verdict):
                answer, captured_s = self._at[revised.frame.sequence]
                answer.revise(revised.detections, due.at_s - captured_s)


class UplinkAsker:
    """Asks through the edge's own uplink, with its deadlines and retries."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink

    async def ask(self, escalation: Escalation) -> Verdict:
        """See `Asker.ask`."""
        reply = _Reply()
        await self._uplink.submit(escalation, reply, block=True)
        await reply.settled.wait()
        if reply.error is not None:
            raise reply.error
        assert reply.said is not None
        return reply.said


class _Reply:
    """What became of one question."""

    def __init__(self) -> None:
        self.settled = anyio.Event()
        self.said: Verdict | None = None
        self.error: SecondlookError | None = None

    def verdict(self, verdict: Verdict) -> None:
        self.said = verdict
        self.settled.set()

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        self.error = error
        self.settled.set()


@asynccontextmanager
async def second_look(
    settings: PipelineSettings, light: ModelInfo, port: int
) -> AsyncIterator[SecondLook]:
    """Secondlook in front of a cloud on a loopback port."""
    clock = SystemClock()
    async with CountingProxy("127.0.0.1", port).running() as proxy:
        # A slow machine makes verdicts late, which is measured; it does not make them useless.
        way = UplinkSettings(address=proxy.target, timeout_s=TIMEOUT_S)
        async with Uplink(way, clock, CollectorRegistry()) as uplink:
            await _connected(uplink)
            pipeline = CameraPipeline("price", settings, light.names, clock)
            yield SecondLook(pipeline, proxy, UplinkAsker(uplink))


async def _connected(uplink: Uplink) -> None:
    """Wait for the connection: its set-up is apart, in time as in bytes.

    Raises:
        Unavailable: there is none after a long while.
    """
    with anyio.move_on_after(TIMEOUT_S):
        while uplink.state is not UplinkState.READY:  # noqa: ASYNC110 - it tells when asked only
            await anyio.sleep(0.02)
        return
    raise Unavailable(f"the cloud's own port on loopback cannot be reached in {TIMEOUT_S:g} s")
