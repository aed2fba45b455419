"""Intervals against a closed form, and the habits of blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import Blocks, Counts


def even(hits: np.ndarray, per_block: int = 20) -> list[Counts]:
    """Frames of which each has the same denominator of F1: F1 then is a plain mean.

    ``2 tp + fp + fn = 2`` in each: a hit is one match, a failure a miss and a false alarm.
    """
    return [Counts(1, 0, 0) if hit else Counts(0, 1, 1) for hit in hits.tolist()]


def test_the_interval_is_that_of_a_mean_of_blocks() -> None:
    draw = np.random.default_rng(3)
    blocks, per_block = 60, 20
    # Blocks differ: neighbours are alike, as in footage.
    rates = draw.uniform(0.5, 1.0, blocks)
    hits = draw.random((blocks, per_block)) < rates[:, None]
    media_s = np.arange(blocks * per_block) / 4
    sampled = Blocks(media_s.tolist(), per_block / 4, seed=1, resamples=20_000)
    assert sampled.count == blocks
    found = sampled.f1(even(hits.ravel()))
    assert found is not None
    means = hits.mean(axis=1)
    # Drawing n blocks with replacement: the mean's standard error is sd / sqrt(n).
    error = means.std() / math.sqrt(blocks)
    assert found.low == pytest.approx(means.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(means.mean() + 1.96 * error, abs=0.15 * error)
    # Frames taken for independent would promise far more.
    naive = math.sqrt(means.mean() * (1 - means.mean()) / hits.size)
    assert found.high - found.low > 2 * 1.96 * naive * 1.5


def test_a_difference_is_taken_on_the_same_draws() -> None:
    draw = np.random.default_rng(5)
    hard = draw.random(400) < np.repeat(draw.uniform(0.2, 1.0, 20), 20)
    blocks = Blocks((np.arange(400) / 4).tolist(), 5.0)
    theirs = even(hard)
    same = blocks.difference(theirs, theirs)
    assert same is not None
    assert (same.low, same.high) == (0.0, 0.0)
    better = hard.copy()
    better[::20] = True
    gain, alone = blocks.difference(even(better), theirs), blocks.f1(theirs)
    assert gain is not None
    assert alone is not None
    assert 0 <= gain.low < gain.high
    # What is hard for both does not widen it.
    assert gain.high - gain.low < (alone.high - alone.low) / 3


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    media_s = (np.arange(200) / 10).tolist()
    counts = even(np.random.default_rng(0).random(200) < 0.7)
    assert Blocks(media_s, seed=4).f1(counts) == Blocks(media_s, seed=4).f1(counts)
    assert Blocks(media_s, seed=4).f1(counts) != Blocks(media_s, seed=5).f1(counts)


def test_a_short_clip_is_cut_finer_and_a_block_never_is_shorter_than_a_frame() -> None:
    short = Blocks((np.arange(100) / 10).tolist(), 5.0)
    assert short.block_s == pytest.approx(1.25)
    assert short.count == 8
    few = Blocks([0.0, 1.0, 2.0], 5.0)
    assert few.block_s == pytest.approx(1.0)
    assert few.count == 3
    assert Blocks((np.arange(1000) / 10).tolist(), 5.0).block_s == 5.0


@pytest.mark.parametrize("media_s", [[], [3.0]])
def test_nothing_can_be_said_about_a_frame_or_none(media_s: list[float]) -> None:
    blocks = Blocks(media_s)
    counts = even(np.ones(len(media_s), bool))
    assert blocks.f1(counts) is None
    assert blocks.difference(counts, counts) is None


def test_gaps_in_time_leave_no_empty_blocks() -> None:
    media_s = [*(i / 10 for i in range(50)), *(1000 + i / 10 for i in range(50))]
    blocks = Blocks(media_s, 5.0)
    # Ten seconds of frames: eight blocks of 1.25 s, four on each side of the gap.
    assert blocks.count == 8
    assert blocks.f1([Counts(1, 0, 0)] * 100) is not None


def test_a_block_of_empty_frames_is_as_good_as_it_gets() -> None:
    found = Blocks([0.0, 1.0], 1.0).f1([Counts(), Counts()])
    assert found is not None
    assert (found.low, found.high) == (1.0, 1.0)


@pytest.mark.parametrize("block_s", [0.0, -1.0, math.nan, math.inf])
def test_lengths_that_are_none_are_refused(block_s: float) -> None:
    with pytest.raises(InvalidInput, match="block_s"):
        Blocks([0.0, 1.0], block_s)


def test_counts_of_other_frames_are_refused() -> None:
    with pytest.raises(InvalidInput, match="1 counts for 2 frames"):
        Blocks([0.0, 1.0], 1.0).f1([Counts()])
    with pytest.raises(InvalidInput, match="resamples"):
        Blocks([0.0, 1.0], resamples=0)
