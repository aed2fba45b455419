"""Runs one batch of one instance, and lets a poisoned request fail alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from secondlook.cloud.engine.batching.lanes import Kind, Lane
from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.shared.clock import Clock
from secondlook.shared.errors import DeadlineExceeded, ModelFailure, Unavailable
from secondlook.shared.telemetry import get_logger

TOO_LATE = "the answer would come too late to be useful"


@dataclass(slots=True)
class Report:
    """What became of some requests of a batch.

    Attributes:
        requests: the requests.
        answers: of each, in the same order; an exception is that request's error.
        taken_s: when they were taken, monotonic seconds.
        started_s: when the call that answered them began.
        input_s: seconds that the batch took to be put together.
        infer_s: seconds in the network; 0: they were not run.
        output_s: seconds that it took to be taken apart.
        rows: of that call.
        retried: whether it was a part of a batch that had failed.
        computed_s: processor time of the thread, of that call.
    """

    requests: Sequence[Pending]
    answers: Sequence[Any]
    taken_s: float
    started_s: float = 0.0
    input_s: float = 0.0
    infer_s: float = 0.0
    output_s: float = 0.0
    rows: int = 0
    retried: bool = False
    computed_s: float = 0.0


@runtime_checkable
class _Timed(Protocol):
    """A lane that says how long it took beside the network."""

    input_s: float
    output_s: float


class Runner:
    """One instance's, for its one thread.

    Args:
        lanes: of the instance.
        clock: the clock of the deadlines.
        report: is given what is known, as soon as it is.
    """

    def __init__(
        self,
        lanes: Mapping[Kind[Any, Any], Lane[Any, Any]],
        clock: Clock,
        report: Callable[[Report], None],
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._report = report
        self._log = get_logger(__name__)
        self._timed = {
            kind: lane if isinstance(lane, _Timed) else None for kind, lane in lanes.items()
        }
        self._too_large = 0
        self._failed = False

    def run(self, batch: Sequence[Pending], taken_s: float) -> tuple[bool, int]:
        """Answer a batch of one lane.

        Returns:
            Whether nothing failed; and the rows of a batch that failed though both its halves did
            not, which was then too large; 0: none.
        """
        self._failed, self._too_large = False, 0
        self._try(batch, taken_s, retried=False)
        return not self._failed, self._too_large

    def _try(self, batch: Sequence[Pending], taken_s: float, *, retried: bool) -> bool:
        kind = batch[0].lane
        lane, timed = self._lanes[kind], self._timed[kind]
        started_s = self._clock.monotonic()
        begun_s, begun_cpu_s = time.perf_counter(), time.thread_time()
        try:
            answers = checked(lane.run([request.payload for request in batch]), len(batch))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is these callers' to hear
            return self._on_failure(batch, error, taken_s)
        took_s, computed_s = time.perf_counter() - begun_s, time.thread_time() - begun_cpu_s
        input_s, output_s = (timed.input_s, timed.output_s) if timed else (0.0, 0.0)
        self._report(
            Report(
                batch,
                answers,
                taken_s,
                started_s,
                input_s,
                max(0.0, took_s - input_s - output_s),
                output_s,
                sum(request.rows for request in batch),
                retried,
                computed_s,
            )
        )
        return True

    def _on_failure(self, batch: Sequence[Pending], error: BaseException, taken_s: float) -> bool:
        self._failed = True
        if len(batch) == 1 or isinstance(error, Unavailable):
            # What is not there is not there for the others either.
            self._report(Report(batch, [sayable(error)] * len(batch), taken_s))
            return False
        self._log.warning("batch failed, retrying its halves", size=len(batch), error=str(error))
        half = len(batch) // 2
        fine = True
        for part in (batch[:half], batch[half:]):
            wanted = self._still_wanted(part, taken_s)
            if wanted:
                fine = self._try(wanted, taken_s, retried=True) and fine
        if fine:
            self._too_large = max(self._too_large, sum(request.rows for request in batch))
        return False

    def _still_wanted(self, part: Sequence[Pending], taken_s: float) -> list[Pending]:
        """Those that are worth another try."""
        now_s = self._clock.monotonic()
        present = [request for request in part if request.state is not State.GONE]
        late = [request for request in present if request.deadline_s <= now_s]
        if late:
            self._report(Report(late, [DeadlineExceeded(TOO_LATE)] * len(late), taken_s))
        return [request for request in present if request.deadline_s > now_s]


def checked(answers: list[Any], wanted: int) -> list[Any]:
    """The answers, one for each request.

    Raises:
        ModelFailure: there are more or fewer.
    """
    if len(answers) != wanted:
        raise ModelFailure(f"the model answered {len(answers)} of {wanted} requests")
    return answers


def sayable(error: BaseException) -> Exception:
    """The error as it may be raised in a caller's task.

    What would end the event loop, or what a future does not carry, becomes a `ModelFailure`.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = ModelFailure(f"the model raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
