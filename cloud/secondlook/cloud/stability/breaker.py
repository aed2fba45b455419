"""Leaves a sick backend alone, and finds out with a few calls when it is well again.

After "Circuit Breaker" (M. Nygard, Release It!): closed, open, half-open. The edge's breaker
(`secondlook.edge.uplink.breaker`) is another one: it looks at one sliding window, probes with
health checks instead of questions, and knows nothing of calls that are under way. All they share
is the formula of the pause.
"""

from __future__ import annotations

import math
import random
from collections import deque

from secondlook.cloud.stability.settings import BreakerSettings
from secondlook.cloud.stability.states import BreakerState, Ending, Transition
from secondlook.cloud.stability.windows import Bad, Usual, Windows
from secondlook.shared.light import light

MAX_TRANSITIONS = 128
"""Changes of state that are remembered; then the oldest is forgotten."""


@light
class _Call:
    began_s: float
    rows: int
    round: int


class Breaker:
    """Counts calls and decides. No I/O, no lock; time is passed in, monotonic seconds.

    It opens after ``windows`` bad windows in a row. A call that hangs counts in each window as
    long as it hangs. After a jittered pause that doubles from round to round, ``probes`` calls go
    through: if all are good it closes, after the first bad one it opens again. While as many calls
    hang as the backend can run at once (``lanes``), a probe could only wait behind them, so it
    stays open until one returns or is given up (`abandon`).

    Args:
        settings: its limits.
        draw: for the jitter.
        lanes: calls that the backend runs at once; 0: any number.

    Attributes:
        state: whether calls go through.
        quiet_until_s: until then it is closed whatever time does; in the past where it is not.
        probe_at_s: when the first probe may go, while it is open.
        changes: changes of state so far.
        transitions: the last `MAX_TRANSITIONS` of them.
    """

    def __init__(self, settings: BreakerSettings, draw: random.Random, lanes: int = 1) -> None:
        self._settings = settings
        self._draw = draw
        self._lanes = lanes
        self._windows = Windows(settings)
        self._usual = Usual(settings)
        self._calls: dict[int, _Call] = {}
        self._last_id = 0
        self._round = 0
        self._tries = 0
        self._good_probes = 0
        self._closed_s: float | None = None
        # A call below this is not slow, whatever is usual.
        self._quick_s = min(
            settings.slow_s or math.inf, settings.slow_least_s if settings.slow_ratio else math.inf
        )
        self._soonest_s = min(settings.window_s, settings.hang_s)
        self.state = BreakerState.CLOSED
        self.probe_at_s = 0.0
        self.quiet_until_s = -math.inf if settings.enabled else math.inf
        self.changes = 0
        self.transitions: deque[Transition] = deque(maxlen=MAX_TRANSITIONS)

    def hung(self, now_s: float) -> int:
        """Calls that are under way for too long."""
        return len(self._hung(now_s))

    def admits(self, now_s: float) -> bool:
        """Whether a call would go through now."""
        self.tick(now_s)
        if self.state is BreakerState.HALF_OPEN:
            return self._good_probes + self._probing() < self._settings.probes
        return self.state is BreakerState.CLOSED

    def wait_s(self, now_s: float) -> float:
        """How long until a refused call may try again; half open, that is only a guess."""
        if self.state is BreakerState.OPEN:
            return max(0.0, self.probe_at_s - now_s)
        return 0.0 if self.state is BreakerState.CLOSED else self._settings.window_s

    def begin(self, now_s: float, rows: int = 1) -> int | None:
        """A call begins; its number, or ``None`` where it does not go through."""
        if now_s >= self.quiet_until_s and not self.admits(now_s):
            return None
        self._last_id += 1
        self._calls[self._last_id] = _Call(now_s, rows, self._round)
        return self._last_id

    def end_good(self, call_id: int, now_s: float) -> bool:
        """`end` for most calls: good, quick, and nothing is up; ``False`` where that is not so."""
        if now_s >= self.quiet_until_s:
            return False
        call = self._calls.get(call_id)
        if call is None or call.round != self._round:
            return False
        took_s = now_s - call.began_s
        if took_s >= self._quick_s:
            return False
        del self._calls[call_id]
        self._usual.saw(call.rows, took_s)
        self._windows.add(None, now_s)
        return True

    def end(self, call_id: int, ending: Ending, now_s: float) -> Bad | None:
        """A call has ended.

        Returns:
            What was wrong with it, whether or not that still counts.
        """
        self.tick(now_s)
        call = self._calls.pop(call_id, None)
        if call is None:
            return None
        took_s = now_s - call.began_s
        bad = None
        if ending is Ending.FAILED:
            bad = Bad.FAILED
        elif self._usual.slow(call.rows, took_s):
            bad = Bad.SLOW
        self._count(call, ending, bad, took_s, now_s)
        return bad

    def tick(self, now_s: float) -> None:
        """Let time pass: judge windows that are over, notice what hangs, begin probing."""
        if not self._settings.enabled:
            return
        hung = self._hung(now_s)
        ours = [call for call in hung if call.round == self._round]
        if self.state is BreakerState.CLOSED:
            # A call that was lost before it closed was held against it already.
            for good in self._windows.roll(now_s, len(ours)):
                if good:
                    self._usual.learn()
            if self._windows.streak >= self._settings.windows:
                self._open(self._windows.why, now_s)
            else:
                self.quiet_until_s = self._quiet_until_s(now_s)
        elif self.state is BreakerState.HALF_OPEN:
            if ours:
                self._open("a probe hangs", now_s)
        elif now_s >= self.probe_at_s:
            if self._lanes and len(hung) >= self._lanes:
                # Told as a transition, so that whoever can replace its thread tries again.
                pause_s = self._pause_s()
                self.probe_at_s = now_s + pause_s
                self._change(BreakerState.OPEN, "a call hangs still", now_s, pause_s)
                return
            self._round += 1
            self._good_probes = 0
            self._change(BreakerState.HALF_OPEN, "the pause is over", now_s)

    def abandon(self, now_s: float) -> int:
        """Calls under way will never end, nobody waits for them: their thread was replaced.

        Returns:
            How many were given up.
        """
        given_up = len(self._calls)
        self._calls.clear()
        if given_up and self.state is BreakerState.OPEN:
            self._probe_soon(now_s)
        return given_up

    def _count(
        self, call: _Call, ending: Ending, bad: Bad | None, took_s: float, now_s: float
    ) -> None:
        if not self._settings.enabled:
            return
        if call.round != self._round or self.state is BreakerState.OPEN:
            # It began before the last change of state, so it says nothing about now, except:
            if self.state is BreakerState.OPEN and took_s >= self._settings.hang_s:
                self._probe_soon(now_s)
            return
        if ending is Ending.NEUTRAL and bad is None:
            return
        if self.state is BreakerState.CLOSED:
            if bad is None:
                self._usual.saw(call.rows, took_s)
            self._windows.add(bad, now_s)
        elif bad is None:
            self._good_probes += 1
            if self._good_probes >= self._settings.probes:
                self._close(now_s)
        else:
            if bad is Bad.SLOW:
                self._usual.concede()
            self._open(f"a probe {'was slow' if bad is Bad.SLOW else 'failed'}", now_s)

    def _quiet_until_s(self, now_s: float) -> float:
        """Until then a closed breaker has nothing to do but to count.

        A window or a call that begins from now on is over, or hangs, later than that.
        """
        soonest_s = now_s + self._soonest_s
        window_s = self._windows.ends_s
        if window_s is not None:
            soonest_s = min(soonest_s, window_s)
        if self._calls:
            oldest_s = min(call.began_s for call in self._calls.values())
            soonest_s = min(soonest_s, oldest_s + self._settings.hang_s)
        return soonest_s

    def _hung(self, now_s: float) -> list[_Call]:
        latest_s = now_s - self._settings.hang_s
        return [call for call in self._calls.values() if call.began_s <= latest_s]

    def _probing(self) -> int:
        return sum(call.round == self._round for call in self._calls.values())

    def _probe_soon(self, now_s: float) -> None:
        """What hung is back: no need to sit out a pause that grew meanwhile."""
        if self._lanes and self.hung(now_s) < self._lanes:
            self._tries = 0
            self.probe_at_s = min(self.probe_at_s, now_s + self._pause_s())

    def _open(self, why: str, now_s: float) -> None:
        long_ago_s = self._settings.open_max_s
        if self._closed_s is not None and now_s - self._closed_s > long_ago_s:
            self._tries = 0
        # Only the next opening after a closing asks again how long that had been.
        self._closed_s = None
        pause_s = self._pause_s()
        self._round += 1
        self._windows.reset()
        self.probe_at_s = now_s + pause_s
        self._change(BreakerState.OPEN, why, now_s, pause_s)

    def _close(self, now_s: float) -> None:
        self._round += 1
        self._closed_s = now_s
        self._change(BreakerState.CLOSED, "all probes were good", now_s)

    def _pause_s(self) -> float:
        """The next pause; it doubles from try to try."""
        settings = self._settings
        pause_s = min(settings.open_max_s, settings.open_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return pause_s * self._draw.uniform(1 - settings.jitter, 1 + settings.jitter)

    def _change(self, after: BreakerState, why: str, now_s: float, pause_s: float = 0.0) -> None:
        self.quiet_until_s = -math.inf
        self.changes += 1
        self.transitions.append(Transition(now_s, self.state, after, why, pause_s))
        self.state = after
