"""The breaker at work: around each call of a backend, in whatever thread or task it is made."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from secondlook.cloud.stability.breaker import Breaker
from secondlook.cloud.stability.metrics import BackendMetrics, BreakerMetrics
from secondlook.cloud.stability.settings import BreakerSettings
from secondlook.cloud.stability.states import BreakerState, Ending, Transition
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import (
    InvalidInput,
    MissingDependency,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

NOT_ITS_FAULT = (InvalidInput, NotFound, PermissionDenied, MissingDependency)
"""What a healthy backend raises as well; all else is held against it."""


class Guard:
    """Stands before one backend. Safe for use from any thread.

    ::

        guard.check()                  # when a request comes: refuse it at once while cut off
        with guard.call(rows):         # where the backend is called; also around an await
            ... backend.run(...) ...

    A call cannot be interrupted in its thread. While it hangs, new requests are refused once the
    breaker has opened, and `on_open` tells those who hold requests that wait; the thread itself is
    lost until the call returns. Whoever replaces the thread then calls `abandon`.

    Args:
        name: of the backend, for people, metrics and errors.
        settings: of the breaker.
        metrics: where to count.
        clock: its monotonic clock tells the time.
        draw: for the jitter.
        lanes: calls that the backend runs at once; 0: any number, as for a server elsewhere.
    """

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        metrics: BreakerMetrics,
        clock: Clock | None = None,
        draw: random.Random | None = None,
        lanes: int = 1,
    ) -> None:
        self.name = name
        self._now_s = (clock or SystemClock()).monotonic
        self._metrics: BackendMetrics = metrics.of_backend(name)
        self._breaker = Breaker(settings, draw or random.Random(), lanes)
        self._lock = threading.Lock()
        self._told = 0
        self._good = 0
        self._listeners: list[Callable[[], object]] = []

    @property
    def state(self) -> BreakerState:
        """Where it stands."""
        return self._breaker.state

    @property
    def hung(self) -> int:
        """Calls that are under way for too long."""
        with self._lock:
            return self._breaker.hung(self._now_s())

    def states(self) -> tuple[Transition, ...]:
        """The changes of state so far, the last `MAX_TRANSITIONS` of them, oldest first."""
        with self._lock:
            return tuple(self._breaker.transitions)

    def check(self) -> None:
        """Return if a call would go through. Reserves nothing.

        Raises:
            Unavailable: the backend is cut off; says for how long.
        """
        if self._now_s() < self._breaker.quiet_until_s:
            return
        with self._lock:
            admitted = self._breaker.admits(self._now_s())
        self._tell()
        if not admitted:
            raise self.refusal()

    def call(self, rows: int = 1) -> Call:
        """A context around one call. An exception that leaves it is the call's outcome.

        Args:
            rows: rows of a batch it takes; what is usual for so many is learnt.

        Raises:
            Unavailable: on entering; the backend is cut off.
        """
        return Call(self, rows)

    def refusal(self) -> Unavailable:
        """What a request hears that is refused because it has opened; counts one."""
        self._metrics.refused()
        with self._lock:
            why = self._breaker.transitions[-1].why if self._breaker.transitions else "at once"
            wait_s = self._breaker.wait_s(self._now_s())
        return Unavailable(
            f"{self.name} is cut off ({why}); ask again in {wait_s:.1f} s", retry_after_s=wait_s
        )

    def tick(self) -> None:
        """Let time pass where no request comes; about once a second."""
        with self._lock:
            now_s = self._now_s()
            self._breaker.tick(now_s)
            hung = self._breaker.hung(now_s)
        self._metrics.hung(hung)
        self._tell()

    def abandon(self) -> int:
        """The calls under way will never end: their thread was replaced, probes may go again.

        Returns:
            How many were given up.
        """
        with self._lock:
            given_up = self._breaker.abandon(self._now_s())
        if given_up:
            _log.warning("calls given up", backend=self.name, calls=given_up)
        return given_up

    def on_open(self, tell: Callable[[], object]) -> Callable[[], None]:
        """Call ``tell``, in any thread, when the backend is cut off, and again while it hangs.

        Returns:
            What ends it; safe to repeat.
        """
        self._listeners.append(tell)

        def end() -> None:
            if tell in self._listeners:
                self._listeners.remove(tell)

        return end

    def forget(self) -> None:
        """The backend is gone; its metrics go as well."""
        self._listeners.clear()
        self._metrics.forget()

    def begin(self, rows: int) -> int:
        """A call begins; for who cannot use `call`. Its number, for `end`, which has to follow.

        Raises:
            Unavailable: see `call`.
        """
        with self._lock:
            number = self._breaker.begin(self._now_s(), rows)
        if self._told != self._breaker.changes:
            self._tell()
        if number is None:
            raise self.refusal()
        return number

    def end(self, number: int, error: BaseException | None = None) -> None:
        """That call has ended, by an error or well."""
        if error is None:
            with self._lock:
                if self._breaker.end_good(number, self._now_s()):
                    # Counted with the next look: a counter costs more than all of this.
                    self._good += 1
                    return
            self._end(number, Ending.GOOD)
        elif isinstance(error, NOT_ITS_FAULT) or not isinstance(error, Exception):
            # What is no Exception is a cancellation: its caller went away.
            self._end(number, Ending.NEUTRAL)
        else:
            self._end(number, Ending.FAILED)

    def _end(self, number: int, ending: Ending) -> None:
        with self._lock:
            bad = self._breaker.end(number, ending, self._now_s())
        self._metrics.ended(ending.value if bad is None else bad.value)
        self._tell()

    def _tell(self) -> None:
        """Metrics, log events and listeners, for what has changed; without the lock."""
        with self._lock:
            good, self._good = self._good, 0
            news = self._breaker.changes - self._told
            self._told = self._breaker.changes
            changes = tuple(self._breaker.transitions)[-news:] if news else ()
        if good:
            self._metrics.ended(Ending.GOOD.value, good)
        for change in changes:
            opened = change.after is BreakerState.OPEN
            self._metrics.state(change.after)
            if opened and change.before is not BreakerState.OPEN:
                self._metrics.opened()
            (_log.warning if opened else _log.info)(
                f"breaker {change.after.value}",
                backend=self.name,
                why=change.why,
                pause_s=round(change.pause_s, 3),
            )
            if opened:
                for tell in tuple(self._listeners):
                    tell()


class Call:
    """One call under way, see `Guard.call`."""

    __slots__ = ("_guard", "_number", "_rows")

    def __init__(self, guard: Guard, rows: int) -> None:
        self._guard = guard
        self._rows = rows
        self._number = 0

    def __enter__(self) -> None:
        self._number = self._guard.begin(self._rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        self._guard.end(self._number, error)
        return False


class Breakers:
    """One guard for each backend of a process.

    Args:
        settings: of all breakers.
        metrics: where to count.
        clock: its monotonic clock tells the time.
        draw: for the jitter.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        metrics: BreakerMetrics,
        clock: Clock | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock or SystemClock()
        self._draw = draw or random.Random()
        self._guards: dict[str, Guard] = {}

    def guard(self, name: str, lanes: int = 1) -> Guard:
        """The guard of that name, a new one where there is none."""
        known = self._guards.get(name)
        if known is None:
            known = self._guards[name] = Guard(
                name, self._settings, self._metrics, self._clock, self._draw, lanes
            )
        return known

    def guards(self) -> tuple[Guard, ...]:
        """All of them."""
        return tuple(self._guards.values())

    def forget(self, name: str) -> None:
        """A backend is gone; safe to repeat."""
        known = self._guards.pop(name, None)
        if known is not None:
            known.forget()

    def tick(self) -> None:
        """Let time pass for all; about once a second."""
        for guard in self.guards():
            guard.tick()
