"""The audits of one camera: which frames are chosen, what they showed, how each of them ended.

A coin chooses frames by number. Of each it chose, the answer as it stood before anything was asked
is kept, so that the verdict on the whole frame tells what that answer missed; only then may the
verdict change what is known. Every audit ends in an outcome or is lost, and `TrustKeeper` makes of
it what is promised. No I/O.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from secondlook.edge.gate.protocol import Choice, FrameEvidence
from secondlook.edge.looks import Look
from secondlook.edge.memory.notes import Note, Recollection
from secondlook.edge.needed import Need
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.trusted import adopt, recalled
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import DEFAULT_SITE, TrustWindow
from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust import (
    UNKNOWN,
    AuditCoin,
    Basis,
    TrustChange,
    TrustKeeper,
    TrustStatus,
)
from secondlook.shared.values import Detections, Escalation, FrameRef, Verdict

_log = get_logger(__name__)
_MAX_NAME = 128
_MAX_NEWS = 4096
"""Most outcomes that wait to be taken; far more than one step gives."""


@dataclass(slots=True)
class TrustNews:
    """What happened since the last time, for metrics, the log and people.

    Attributes:
        status: how the camera stands; ``None`` where nothing is audited.
        changes: of its state, oldest first.
        outcomes: of audits and of other whole frames: whether the answer had missed something.
        lost: audits without an outcome.
        unasked: frames on which a candidate above the threshold was not asked about.
        demand: bytes and questions a second that the enforced threshold needs.
    """

    status: TrustStatus | None = None
    changes: list[TrustChange] = field(default_factory=list)
    outcomes: list[bool] = field(default_factory=list)
    lost: int = 0
    unasked: int = 0
    demand: tuple[float, float] = (0.0, 0.0)


class Auditor:
    """See the module. Not safe for concurrent use.

    Args:
        camera: its id.
        settings: of the pipeline.
        gate: fingerprint of the gate.
        interest: class names that count; ``None``: all.
        known: what earlier processes knew.
        at_s: wall clock now, seconds since the Unix epoch.
        keeper: in the place of one made here.
    """

    def __init__(
        self,
        camera: str,
        settings: PipelineSettings,
        gate: str,
        interest: frozenset[str] | None,
        known: Recollection,
        at_s: float,
        keeper: TrustKeeper | None = None,
    ) -> None:
        self._settings = settings
        self._trust = settings.trust
        self._interest = interest
        self._coin = AuditCoin(settings.trust.seed, camera)
        self._keeper = keeper
        if keeper is None and settings.trust.audit_rate > 0:
            name = camera if "/" in camera else f"{DEFAULT_SITE}/{camera}"
            self._keeper = recalled(name, settings.trust, gate, known, at_s)
        # Frames are numbered from 0 again after a restart: in one window no coin is thrown twice.
        self._thrown = 0 if self._keeper is None else self._keeper.status.frames << 32
        self._fresh: Look | None = None
        self._waiting: dict[str, Look] = {}
        self._link = self._budget = ""
        self._news = TrustNews()
        self._need = Need()
        self._written_s: float | None = None
        self._urgent = False

    @property
    def audit_rate(self) -> float:
        """Probability with which the next frame is audited."""
        return 0.0 if self._keeper is None else self._keeper.audit_rate

    @property
    def demanded(self) -> float:
        """Loss from which candidates are asked about at any price; infinite: none are."""
        return math.inf if self._keeper is None else self._keeper.demanded

    @property
    def waiting(self) -> int:
        """Looks at whole frames that have no end yet."""
        return len(self._waiting) + (self._fresh is not None)

    def throw(self, sequence: int) -> float:
        """What the coin says of a frame: a number in [0, 1), below the rate for an audit."""
        return self._coin.throw(self._thrown + sequence)

    def answered(
        self,
        frame: FrameRef,
        evidence: FrameEvidence,
        estimates: npt.NDArray[np.float64],
        published: Detections,
        choice: Choice,
        time_s: float,
        now_s: float,
        *,
        whole_bytes: float = 0.0,
    ) -> None:
        """A frame is answered.

        Args:
            frame: which.
            evidence: what the gate was given.
            estimates: float64 (n,), what asking about each candidate would take, bytes.
            published: the answer.
            choice: what the gate chose, under `audit_rate` and `throw`.
            time_s: stream time.
            now_s: monotonic time.
            whole_bytes: what the whole frame would take.
        """
        keeper = self._keeper
        if keeper is None:
            return
        self._unsent()
        self._give_up(now_s - self._trust.wait_s)
        rate = keeper.audit_rate
        by_coin = self.throw(frame.sequence) < rate
        # What goes whole in any case is known, and no sample, also where the coin says the same.
        # A frame that goes whole because the coin passed it over is one of those it could choose.
        known = choice.known and choice.whole_frame
        self._news.unasked += self._need.left_out(
            evidence, estimates, choice, keeper, time_s, whole_bytes
        )
        try:
            keeper.frame(
                frame.sequence,
                frame.captured_at,
                probability=1.0 if known else rate,
                audited=known or by_coin,
            )
        except InvalidInput as error:
            # Its number or its time makes no sense: it belongs to no window.
            _log.warning("a frame is not counted", sequence=frame.sequence, error=str(error))
            return
        if known or by_coin:
            self._fresh = Look.at(frame, published, evidence, by_coin=by_coin, now_s=now_s)

    def asked(self, escalation: Escalation) -> None:
        """A question about the frame answered last is on its way."""
        fresh = self._fresh
        if (
            fresh is None
            or fresh.frame.sequence != escalation.sequence
            or not escalation.whole_frame
        ):
            return
        self._fresh = None
        self._waiting[escalation.request_id] = fresh
        if len(self._waiting) > self._trust.max_pending:
            self.lost(next(iter(self._waiting)), "too many wait for a verdict")

    def judged(self, verdict: Verdict, heavy: Detections, at_s: float) -> None:
        """A verdict is there. Call it before the verdict changes anything.

        Args:
            verdict: on whatever question.
            heavy: its objects, in the names known here.
            at_s: wall clock now.
        """
        keeper = self._keeper
        if keeper is None:
            return
        model = verdict.model[:_MAX_NAME] or UNKNOWN
        basis = Basis(keeper.basis.gate, model, verdict.version[:_MAX_NAME])
        if basis != keeper.basis:
            keeper.changed(basis, at_s)
        look = self._waiting.get(verdict.request_id)
        if look is None:
            return
        whole = (0, 0, look.frame.width, look.frame.height)
        if all(region.xyxy != whole for region in verdict.regions):
            self.lost(verdict.request_id, "the verdict is about a part of the frame")
            return
        del self._waiting[verdict.request_id]
        risk = look.score(heavy, self._interest, self._settings)
        if keeper.outcome(look.frame.sequence, risk):
            self._news.outcomes = [*self._news.outcomes[1 - _MAX_NEWS :], math.isfinite(risk)]

    def recalibrated(self, at_s: float) -> None:
        """The gate's probabilities are corrected otherwise from now on (wall clock ``at_s``)."""
        if self._keeper is not None:
            self._keeper.recalibrated(at_s)

    def lost(self, request_id: str, why: str) -> None:
        """A question gets no verdict."""
        look = self._waiting.pop(request_id, None)
        if look is not None:
            self._end(look, why)

    def link(self, problem: str, at_s: float) -> None:
        """Say whether the cloud can be asked: ``problem``, why it cannot; empty where it can."""
        if self._keeper is None or bool(problem) == bool(self._link):
            return
        self._link = problem
        # Whoever looks in now is to see it.
        self._urgent = True
        if problem:
            self._keeper.link_down(at_s, problem)
        else:
            self._keeper.link_up(at_s)

    def budget(self, problem: str, at_s: float) -> None:
        """Say whether the budget suffices: ``problem``, what it lacks; empty where it does."""
        if self._keeper is None or problem == self._budget:
            return
        if bool(problem) != bool(self._budget):
            self._urgent = True
        self._budget = problem
        if problem:
            self._keeper.infeasible(at_s, problem)
        else:
            self._keeper.feasible(at_s)

    def adopt(self, windows: dict[str, TrustWindow]) -> None:
        """Take over what a site has certified about this camera, where that is of use."""
        if self._keeper is not None:
            adopt(self._keeper, windows)

    def take_news(self) -> TrustNews:
        """What happened since the last call, and how the camera stands."""
        news, self._news = self._news, TrustNews()
        if self._keeper is not None:
            news.status = self._keeper.status
            news.changes = self._keeper.take_changes()
            news.demand = self._need.per_s
        return news

    def take_notes(self, now_s: float, *, last: bool = False) -> list[Note]:
        """Windows to be written down: those that were judged, and now and then those that are not.

        Args:
            now_s: monotonic time.
            last: the pipeline ends: it is written as it stands, and what still waits is lost.
        """
        keeper = self._keeper
        if keeper is None:
            return []
        records = keeper.take_windows()
        every_s = self._trust.write_every_s
        if self._written_s is None:
            self._written_s = now_s - every_s
        # While audits are under way a record is not complete: it waits for them, but not for long.
        due = now_s >= self._written_s + every_s * (2 if keeper.status.pending else 1)
        if (due or last or records or self._urgent) and keeper.status.frames:
            self._written_s, self._urgent = now_s, False
            records += [*keeper.unsettled(), keeper.snapshot()]
        if last:
            # After the record: the window ends with the process, and was not spoilt by that.
            self._unsent()
            self._give_up(math.inf)
        return [Note(TrustWindow, key, record) for key, record in records]

    def _unsent(self) -> None:
        """The last look was never sent."""
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            self._end(fresh, "it was not sent")

    def _give_up(self, before_s: float) -> None:
        """Lose what has waited since before a moment."""
        while self._waiting:
            request_id, oldest = next(iter(self._waiting.items()))
            if oldest.since_s >= before_s:
                return
            self.lost(request_id, "it waited too long for a verdict")

    def _end(self, look: Look, why: str) -> None:
        keeper, sequence = self._keeper, look.frame.sequence
        assert keeper is not None
        # What the coin had not chosen may go unseen: the coin knew nothing of it.
        if (look.by_coin or not keeper.excuse(sequence)) and keeper.lost(sequence, why):
            self._news.lost += 1
