from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

from secondlook.cloud.prefetch import LeastRecent, Prefetcher, When
from secondlook.cloud.prefetch.calibration import Calibration
from secondlook.cloud.prefetch.forecast import PENDING, SOURCES, Forecast, evidence
from secondlook.cloud.prefetch.rivals import Contest
from secondlook.shared.errors import MissingDependency


def test_the_least_recent_goes_and_the_never_asked_first() -> None:
    plain = LeastRecent()
    for name in "abc":
        plain.know(name, 0.0, 1.0)
    plain.asked("b", 1.0)
    plain.asked("a", 2.0)
    assert plain.victim(["a", "b", "c"], 3.0) == "c"
    assert plain.victim(["a", "b"], 3.0) == "b"
    assert plain.victim([], 3.0) is None
    assert plain.victim(["a", "b"], 3.0, instead_of="c") is None
    assert plain.advice([], 3.0) == []


PERIOD_S = 40


def serve(prefetcher: Prefetcher, first_s: int, last_s: int) -> Prefetcher:
    """A model asked for every 40 s, one asked for all the time, one never."""
    for second in range(first_s, last_s):
        if second % PERIOD_S == 0:
            prefetcher.asked("clock", float(second))
        prefetcher.asked("often", second + 0.5)
        if second % 2:
            prefetcher.advice(["often", "never"], second + 0.7)
    return prefetcher


@pytest.fixture(scope="module")
def learnt() -> Prefetcher:
    prefetcher = Prefetcher(spare_s=5.0)
    for name in ("clock", "often", "never"):
        prefetcher.know(name, 0.0, 4.0)
    return serve(prefetcher, 0, 22 * PERIOD_S + 1)


@pytest.fixture
def prefetcher(learnt: Prefetcher) -> Prefetcher:
    """Its next stroke is due at 920."""
    return copy.deepcopy(learnt)


def test_a_schedule_is_learnt_and_its_model_loaded_just_before(prefetcher: Prefetcher) -> None:
    serve(prefetcher, 881, 905)
    assert prefetcher.advice(["often", "never"], 905.0) == []
    serve(prefetcher, 905, 915)
    (advice,) = prefetcher.advice(["often", "never"], 915.0)
    assert advice.model == "clock"
    assert advice.when is When.NOW
    assert advice.probability > 0.8
    assert prefetcher.victim(["often", "never"], 915.0, "clock") == "never"
    # What is needed as much is not evicted for it.
    assert prefetcher.victim(["often"], 915.0, "clock") is None


def test_between_the_thresholds_it_waits_for_an_idle_moment() -> None:
    strict = Prefetcher(spare_s=5.0, at_once=1.0)
    for name in ("clock", "often", "never"):
        strict.know(name, 0.0, 4.0)
    serve(strict, 0, 16 * PERIOD_S - 5)
    (advice,) = strict.advice(["often"], 16.0 * PERIOD_S - 5)
    assert advice.model == "clock"
    assert advice.when is When.IDLE


def test_what_is_held_is_not_advised(prefetcher: Prefetcher) -> None:
    serve(prefetcher, 881, 915)
    assert {advice.model for advice in prefetcher.advice([], 915.0)} == {"clock", "often"}
    assert [advice.model for advice in prefetcher.advice(["clock"], 915.0)] == ["often"]
    assert prefetcher.advice(["clock", "often"], 915.0) == []


def test_a_model_that_left_is_neither_advised_nor_counted(prefetcher: Prefetcher) -> None:
    prefetcher.forget("clock")
    serve(prefetcher, 881, 915)
    assert [advice.model for advice in prefetcher.advice([], 915.0)] == ["often"]
    # Its row goes to the next one, which begins with nothing.
    prefetcher.know("new", 916.0, 4.0)
    assert "new" not in [advice.model for advice in prefetcher.advice([], 917.0)]
    assert prefetcher.victim(["new", "never", "often"], 917.0) in ("new", "never")


def test_strangers_are_passed_over() -> None:
    prefetcher = Prefetcher()
    prefetcher.asked("stranger", 1.0)
    assert prefetcher.advice([], 2.0) == []
    assert prefetcher.victim(["stranger"], 3.0) == "stranger"
    prefetcher.forget("stranger")


def test_the_same_requests_give_the_same_advice(prefetcher: Prefetcher) -> None:
    other = copy.deepcopy(prefetcher)
    first = serve(prefetcher, 881, 915).advice([], 915.0)
    assert first == serve(other, 881, 915).advice([], 915.0)
    assert first


def test_without_river_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    with pytest.raises(MissingDependency, match=r"secondlook\[cloud\]"):
        Prefetcher()


def test_a_forecast_that_comes_true_less_often_than_it_says_is_worth_what_it_was() -> None:
    calibration = Calibration()
    assert calibration.measured(np.array([0.95]))[0] < 0.5  # unproven
    for n in range(200):
        calibration.learn(0.95, n % 10 < 6)
    assert calibration.measured(np.array([0.95]))[0] == pytest.approx(0.6, abs=0.03)
    for _ in range(2000):
        calibration.learn(0.95, True)
    assert calibration.measured(np.array([0.95]))[0] > 0.9


def test_forecasts_are_labelled_by_what_came_within_their_horizon() -> None:
    forecast = Forecast()
    asks = np.zeros(2, np.int64)
    flat = [np.array([0.5, 0.5])] * 6
    seen = evidence(*flat)
    assert seen.shape == (2, len(SOURCES))
    rows, horizon = np.arange(2), np.array([10.0, 10.0])
    said, _ = forecast.probability(seen)
    forecast.remember(0.0, rows, horizon, seen, said, asks)
    asks[0] += 1
    forecast.settle(10.0, asks)
    forecast.learn()
    assert forecast.labels == 0  # the last moment of the horizon belongs to it
    forecast.settle(10.1, asks)
    forecast.learn()
    assert forecast.labels == 2


def test_what_waits_for_its_label_is_bounded() -> None:
    forecast = Forecast()
    asks = np.zeros(8, np.int64)
    seen = np.zeros((8, len(SOURCES)))
    for now in range(PENDING // 8 + 10):
        forecast.remember(float(now), np.arange(8), np.full(8, 1e9), seen, np.full(8, 0.5), asks)
    forecast.settle(2e9, asks)
    forecast.learn()
    assert forecast.labels == PENDING


def test_the_challenger_takes_over_only_where_it_misses_less() -> None:
    needs = {"a": 1.0, "b": 0.9, "c": 0.1, "d": 0.0}
    good, bad = Contest(), Contest()
    # Round and round through three models with room for two: the least recent always misses.
    for n in range(300):
        model = "abc"[n % 3]
        good.asked(model, 2, needs.__getitem__)
        bad.asked("aabb"[n % 4], 2, lambda _: 0.0)
    assert good.won
    assert not bad.won
