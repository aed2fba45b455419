"""The threads of a batcher, one for each instance of its model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import anyio.to_thread

from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.lanes import Instance
from secondlook.cloud.engine.batching.runner import TOO_LATE, Report, Runner
from secondlook.cloud.engine.batching.seats import Job, Seat
from secondlook.shared.clock import Clock
from secondlook.shared.errors import DeadlineExceeded, ModelFailure
from secondlook.shared.telemetry import get_logger


class Workers:
    """Each thread takes its next batch itself, runs it, and reports what became of it.

    Args:
        name: of the model and its version, for the threads' names.
        instances: closed by `close`.
        dispatch: where the work is.
        report: told what became of requests; called by any thread.
        clock: the clock of the deadlines.
    """

    def __init__(
        self,
        name: str,
        instances: Sequence[Instance],
        dispatch: Dispatch,
        report: Callable[[Report], None],
        clock: Clock,
    ) -> None:
        self._instances = instances
        self._dispatch = dispatch
        self._report = report
        self._clock = clock
        self._log = get_logger(__name__).bind(model=name)
        # Daemons, so that a second signal can end a process whose network never returns.
        self._threads = [
            threading.Thread(
                target=self._work, args=pair, name=f"model-{name}-{place}", daemon=True
            )
            for place, pair in enumerate(zip(instances, dispatch.seats, strict=True))
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    async def join(self) -> None:
        """Until all have ended, which they do once `Dispatch` is closed and empty."""
        # A network cannot be interrupted: when the drain's time is over, its thread is left.
        for thread in self._threads:
            if thread.ident is not None:
                await anyio.to_thread.run_sync(thread.join, abandon_on_cancel=True)

    def close(self) -> None:
        """Close the instances whose threads have ended."""
        for thread, instance in zip(self._threads, self._instances, strict=True):
            if not thread.is_alive():
                instance.close()

    def _work(self, instance: Instance, seat: Seat) -> None:
        """The thread of one instance."""
        runner = Runner(instance.lanes, self._clock, self._report)
        while True:
            job: Job | None = None
            try:
                job = self._dispatch.next(seat)
                if job is None:
                    return
                if job.late:
                    errors = [DeadlineExceeded(TOO_LATE) for _ in job.late]
                    self._report(Report(job.late, errors, job.taken_s))
                if job.batch:
                    fine, too_large = runner.run(job.batch, job.taken_s)
                    if not fine:
                        self._dispatch.spoiled(seat, too_large)
            except BaseException as error:  # noqa: BLE001 - a thread that ends answers nobody any more
                self._log.exception("a batch broke its thread's loop; going on")
                if job is not None:
                    failure = ModelFailure("the batch failed")
                    failure.__cause__ = error
                    self._report(Report(job.batch, [failure] * len(job.batch), job.taken_s))
                    self._dispatch.spoiled(seat)
