"""What a track has shown so far, whatever the analysis rate."""

from __future__ import annotations

import numpy as np
import pytest
from support.edge import NAMES, Seen, seen

from secondlook.edge.evidence.clusters import cluster
from secondlook.edge.evidence.statistics import LOGIT_LIMIT, TrackStatistics, logit, spread
from secondlook.edge.pipeline_settings import TrackerSettings

BOX = (100.0, 100.0, 140.0, 140.0)


def _see(statistics: TrackStatistics, time_s: float, *boxes: Seen, ids: list[int]) -> list[int]:
    """Clusters of one box each, best first, belong to the tracks in that order."""
    found = cluster(seen(*boxes), TrackerSettings())
    assert len(found) == len(ids)
    return statistics.see(ids, found, np.arange(len(ids)), time_s).tolist()


def test_scores_are_counted() -> None:
    statistics = TrackStatistics(len(NAMES))
    for step, score in enumerate([0.5, 0.7, 0.3]):
        _see(statistics, step / 10, (BOX, score, "car"), ids=[7])
    hits, total = statistics.column("hits", [7]), statistics.column("score_sum", [7])
    assert hits.tolist() == [3]
    assert total[0] == pytest.approx(1.5)
    assert statistics.column("score_max", [7])[0] == pytest.approx(0.7)
    deviation = spread(hits, total, statistics.column("square_sum", [7]))
    assert deviation[0] == pytest.approx(np.std([0.5, 0.7, 0.3]))


@pytest.mark.parametrize("score", [0.2, 0.8])
def test_any_rate_gives_the_same_evidence(score: float) -> None:
    """After two seconds of one score and half a second of another."""

    def run(fps: int) -> list[float]:
        statistics = TrackStatistics(len(NAMES))
        for step in range(int(2.5 * fps) + 1):
            time_s = step / fps
            left = 20.0 * time_s
            _see(
                statistics,
                time_s,
                ((left, 0, left + 40, 40), 0.5 if time_s <= 2 else score, "car"),
                ids=[1],
            )
        names = ("smoothed", "score_max", "speed")
        return [float(statistics.column(name, [1])[0]) for name in names]

    slow, fast = run(6), run(30)
    assert slow == pytest.approx(fast, rel=0.05)


def test_the_smoothed_score_follows_and_the_first_counts_in_full() -> None:
    statistics = TrackStatistics(len(NAMES))
    _see(statistics, 0.0, (BOX, 0.9, "car"), ids=[1])
    assert statistics.column("smoothed", [1])[0] == pytest.approx(0.9)
    _see(statistics, 0.1, (BOX, 0.1, "car"), ids=[1])
    soon = statistics.column("smoothed", [1])[0]
    assert 0.1 < soon < 0.9
    _see(statistics, 60.0, (BOX, 0.1, "car"), ids=[1])
    assert statistics.column("smoothed", [1])[0] == pytest.approx(0.1)


def test_the_class_is_the_one_shown_most_and_old_sights_fade() -> None:
    statistics = TrackStatistics(len(NAMES))
    said = [
        _see(statistics, step / 10, (BOX, score, name), ids=[1])[0]
        for step, (score, name) in enumerate([(0.6, "car"), (0.6, "car"), (0.7, "bottle")])
    ]
    assert [NAMES[index] for index in said] == ["car", "car", "car"]
    share = statistics.class_share([1])[0]
    assert 0.5 < share < 0.75
    assert statistics.column("flips", [1])[0] == 1
    (later,) = _see(statistics, 60.0, (BOX, 0.3, "bottle"), ids=[1])
    assert NAMES[later] == "bottle"
    assert statistics.class_share([1])[0] == pytest.approx(1.0)


def test_speed_is_in_sizes_a_second_and_needs_time() -> None:
    statistics = TrackStatistics(len(NAMES))
    for step in range(40):
        left = 100.0 + 4 * step
        _see(statistics, step / 10, ((left, 100, left + 40, 140), 0.5, "car"), ids=[1])
    assert statistics.column("speed", [1])[0] == pytest.approx(1.0, rel=0.01)
    before = statistics.column("speed", [1])[0]
    _see(statistics, 3.9, ((900, 100, 940, 140), 0.5, "car"), ids=[1])
    assert statistics.column("speed", [1])[0] == before, "no time has passed"


def test_a_clock_that_goes_back_counts_as_no_time() -> None:
    statistics = TrackStatistics(len(NAMES))
    _see(statistics, 10.0, (BOX, 0.5, "car"), ids=[1])
    _see(statistics, 3.0, (BOX, 0.7, "car"), ids=[1])
    for name in ("smoothed", "speed", "score_sum"):
        assert np.isfinite(statistics.column(name, [1])).all()
    assert statistics.column("smoothed", [1])[0] == pytest.approx(0.5)


def test_tracks_that_are_gone_are_forgotten_and_their_rows_begin_anew() -> None:
    statistics = TrackStatistics(len(NAMES))
    for _ in range(3):
        _see(statistics, 0.0, (BOX, 0.9, "bottle"), ids=[1])
    statistics.keep({2})
    assert len(statistics) == 0
    with pytest.raises(KeyError):
        statistics.column("hits", [1])
    (said,) = _see(statistics, 1.0, (BOX, 0.2, "car"), ids=[9])
    assert NAMES[said] == "car"
    assert statistics.column("hits", [9]).tolist() == [1]
    assert statistics.column("score_max", [9])[0] == pytest.approx(0.2)
    assert statistics.class_share([9])[0] == pytest.approx(1.0)


def test_many_tracks_grow_the_table_and_reuse_it() -> None:
    statistics = TrackStatistics(len(NAMES))
    settings = TrackerSettings(max_boxes=1000)
    boxes: list[Seen] = [((30.0 * i, 0, 30.0 * i + 20, 20), 0.9, "car") for i in range(100)]
    found = cluster(seen(*boxes), settings)
    for begin in range(0, 1000, 100):
        ids = list(range(begin, begin + 100))
        statistics.see(ids, found, np.arange(100), float(begin))
        assert statistics.column("hits", ids).tolist() == [1.0] * 100
        statistics.keep(set(ids))
    assert len(statistics) == 100
    assert len(statistics._values) <= 256, "bounded by the tracks that live"


def test_tracks_do_not_mix() -> None:
    statistics = TrackStatistics(len(NAMES))
    far: Seen = ((200, 10, 240, 50), 0.2, "person")
    _see(statistics, 0.0, (BOX, 0.8, "car"), far, ids=[5, 6])
    _see(statistics, 0.1, (BOX, 0.8, "car"), ids=[5])
    assert statistics.column("hits", [6, 5]).tolist() == [1, 2]
    assert statistics.column("score_max", [6, 5]) == pytest.approx([0.2, 0.8])


def test_nothing_seen_is_nothing_learned() -> None:
    statistics = TrackStatistics(len(NAMES))
    assert _see(statistics, 0.0, ids=[]) == []
    assert len(statistics) == 0
    assert statistics.column("hits", []).shape == (0,)


def test_classes_that_only_the_cloud_knows_are_not_counted() -> None:
    statistics = TrackStatistics(2)
    (said,) = _see(statistics, 0.0, (BOX, 0.8, "car"), ids=[1])
    assert NAMES[said] == "car"


def test_log_odds_stay_finite() -> None:
    odds = logit(np.array([0.0, 0.5, 1.0, -3.0, 7.0]))
    assert odds == pytest.approx([-LOGIT_LIMIT, 0.0, LOGIT_LIMIT, -LOGIT_LIMIT, LOGIT_LIMIT])
