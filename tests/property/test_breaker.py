"""Whatever happens to a backend, its breaker keeps its word."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secondlook.cloud.stability import Breaker, BreakerSettings, BreakerState, Ending
from secondlook.cloud.stability.windows import STRETCH

ENDINGS = st.sampled_from(Ending)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 9)),
        st.tuples(st.just("end"), st.integers(0, 9), ENDINGS),
        st.tuples(st.just("burst"), st.integers(1, 12), ENDINGS),
        st.tuples(st.just("wait"), st.floats(0, 30)),
        st.tuples(st.just("abandon")),
        st.tuples(st.just("half open")),
    ),
    max_size=120,
)
SETTINGS = st.builds(
    BreakerSettings,
    window_s=st.floats(0.1, 5),
    windows=st.integers(1, 4),
    min_calls=st.integers(1, 6),
    bad_ratio=st.floats(0.1, 1),
    slow_s=st.sampled_from([0.0, 2.0]),
    slow_least_s=st.just(0.0),
    hang_s=st.floats(1, 20),
    probes=st.integers(1, 4),
    jitter=st.floats(0, 0.9),
)


class Play:
    """A history; checks at each step what must hold always."""

    def __init__(self, chosen: BreakerSettings, lanes: int, seed: int) -> None:
        self.settings = chosen
        self.breaker = Breaker(chosen, random.Random(seed), lanes)
        self.now_s = 0.0
        self.calls: list[int] = []
        self.probes: set[int] = set()
        self.good = 0
        self.seen = 0

    def step(self, kind: str, *rest: Any) -> None:
        if kind == "begin":
            self.begin(rest[0])
        elif kind == "end" and self.calls:
            self.end(self.calls[rest[0] % len(self.calls)], rest[1])
        elif kind == "burst":
            for _ in range(rest[0]):
                number = self.begin(1)
                if number is not None:
                    self.end(number, rest[1])
        elif kind == "wait":
            self.now_s += rest[0]
            self.breaker.tick(self.now_s)
        elif kind == "half open":
            self.half_open()
        elif kind == "abandon":
            self.breaker.abandon(self.now_s)
            self.calls.clear()
            self.probes.clear()
        self.check()

    def half_open(self) -> None:
        """Fail until it opens, and wait for the first probe."""
        for _ in range(self.settings.windows):
            self.step("burst", self.settings.min_calls, Ending.FAILED)
            self.step("wait", self.settings.window_s)
        self.step("wait", self.breaker.wait_s(self.now_s))

    def begin(self, rows: int) -> int | None:
        admitted = self.breaker.admits(self.now_s)
        self.check()
        number = self.breaker.begin(self.now_s, rows)
        assert (number is not None) == admitted
        if number is not None:
            assert self.breaker.state is not BreakerState.OPEN
            self.calls.append(number)
            if self.breaker.state is BreakerState.HALF_OPEN:
                self.probes.add(number)
        self.check()
        return number

    def end(self, number: int, ending: Ending) -> None:
        self.breaker.tick(self.now_s)
        self.check()
        self.calls.remove(number)
        bad = None
        if not (ending is Ending.GOOD and self.breaker.end_good(number, self.now_s)):
            bad = self.breaker.end(number, ending, self.now_s)
        if number in self.probes:
            self.probes.remove(number)
            self.good += ending is Ending.GOOD and bad is None
        self.check()

    def check(self) -> None:
        if self.breaker.changes != self.seen:
            before, self.seen = self.seen, self.breaker.changes
            for change in list(self.breaker.transitions)[before - self.seen :]:
                assert (change.before, change.after) in {
                    (BreakerState.CLOSED, BreakerState.OPEN),
                    (BreakerState.OPEN, BreakerState.HALF_OPEN),
                    (BreakerState.OPEN, BreakerState.OPEN),
                    (BreakerState.HALF_OPEN, BreakerState.OPEN),
                    (BreakerState.HALF_OPEN, BreakerState.CLOSED),
                }
                if change.after is BreakerState.CLOSED:
                    assert self.good == self.settings.probes
                if change.after is BreakerState.OPEN:
                    longest_s = self.settings.open_max_s * (1 + self.settings.jitter)
                    assert 0 < change.pause_s <= longest_s
            self.probes.clear()
            self.good = 0
        if self.breaker.state is BreakerState.HALF_OPEN:
            assert len(self.probes) + self.good <= self.settings.probes
        assert self.breaker.wait_s(self.now_s) >= 0

    def recover(self) -> None:
        """All that hangs comes back, all is good from now on: it closes."""
        for number in list(self.calls):
            self.end(number, Ending.NEUTRAL)
        for _ in range(3):
            self.now_s += self.settings.open_max_s * (1 + self.settings.jitter)
            for _ in range(self.settings.probes):
                number = self.begin(1)
                if number is not None:
                    self.end(number, Ending.GOOD)
        assert self.breaker.state is BreakerState.CLOSED
        assert self.breaker.admits(self.now_s)


@settings(max_examples=150)
@given(chosen=SETTINGS, lanes=st.sampled_from([0, 1, 2]), seed=st.integers(0, 9), steps=STEPS)
def test_few_probes_go_through_and_it_recovers(
    chosen: BreakerSettings, lanes: int, seed: int, steps: list[tuple[Any, ...]]
) -> None:
    play = Play(chosen, lanes, seed)
    for step in steps:
        play.step(*step)
    play.recover()


@settings(max_examples=100)
@given(chosen=SETTINGS, lanes=st.sampled_from([0, 1, 2]), seed=st.integers(0, 9), steps=STEPS)
def test_counting_in_passing_changes_nothing(
    chosen: BreakerSettings, lanes: int, seed: int, steps: list[tuple[Any, ...]]
) -> None:
    quick, careful = Play(chosen, lanes, seed), Play(chosen, lanes, seed)
    careful.breaker.end_good = lambda number, now_s: False  # type: ignore[method-assign]
    for step in steps:
        quick.step(*step)
        careful.step(*step)
        assert list(quick.breaker.transitions) == list(careful.breaker.transitions)


@settings(max_examples=100)
@given(chosen=SETTINGS, seed=st.integers(0, 9), gap=st.floats(0.001, 0.5))
def test_a_backend_that_only_fails_is_cut_within_its_windows(
    chosen: BreakerSettings, seed: int, gap: float
) -> None:
    play = Play(chosen, 1, seed)
    # A window is stretched until it has its calls; with fewer than that it says nothing.
    window_s = max(chosen.window_s, gap * chosen.min_calls)
    assume(window_s < STRETCH * chosen.window_s)
    while play.breaker.state is not BreakerState.OPEN:
        assert play.now_s <= chosen.windows * (window_s + gap) + 2 * gap + chosen.window_s
        play.step("burst", 1, Ending.FAILED)
        play.step("wait", gap)
