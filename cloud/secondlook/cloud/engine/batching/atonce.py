"""Answers on the event loop where that is quicker than waking a thread; see `Dispatch.claim`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeVar

from secondlook.cloud.engine.asking import Ran
from secondlook.cloud.engine.batching.delivery import Delivery
from secondlook.cloud.engine.batching.dispatch import Dispatch
from secondlook.cloud.engine.batching.lanes import Instance, Kind
from secondlook.cloud.engine.batching.runner import checked, sayable
from secondlook.cloud.engine.batching.seats import Seat

P = TypeVar("P")
R = TypeVar("R")


class AtOnce:
    """One batcher's. On the event loop only.

    Args:
        instances: the copies; a claimed seat is that of one of them.
        dispatch: where seats are claimed and given back.
        delivery: what counts the answers.
    """

    def __init__(
        self, instances: Sequence[Instance], dispatch: Dispatch, delivery: Delivery
    ) -> None:
        self._instances = {
            id(seat): instance for seat, instance in zip(dispatch.seats, instances, strict=True)
        }
        self._dispatch = dispatch
        self._delivery = delivery
        self._here = all(instance.here for instance in instances)

    def claim(self, rows: int, now_s: float) -> Seat | None:
        """A seat for so many rows, or ``None``: a thread is to answer."""
        return self._dispatch.claim(rows, now_s) if self._here else None

    def answer(
        self, seat: Seat, kind: Kind[P, R], payload: P, now_s: float, reason: str
    ) -> tuple[R, Ran]:
        """Answer one request, and give the seat back.

        Raises:
            Whatever the lane raises, as a caller's task may hear it.
        """
        lane = self._instances[id(seat)].lanes[kind]
        begun_cpu_s = time.thread_time()
        try:
            (answer,) = checked(lane.run([payload]), 1)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is this caller's to hear
            self._delivery.failed_at_once(now_s)
            raise sayable(error) from None
        finally:
            self._dispatch.release(seat)
        if isinstance(answer, Exception):
            self._delivery.failed_at_once(now_s)
            raise answer
        result: R = answer
        computed_s = time.thread_time() - begun_cpu_s
        return result, self._delivery.answered_at_once(now_s, computed_s, reason)
