"""Streams of frames: for each, what an audit of it would find. Simulated, or resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.cli.bench.trust.scenes import Floats, Rng, Scene, night


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One window of frames, with all that is hidden from the certificate.

    Attributes:
        lowest: float64 (T,): lowest risk among missed objects, infinite where nothing is missed.
        highest: float64 (T,): highest risk of candidates, -1 without; a frame escalates at τ where
            it is τ or more. NaN where it is not known.
        probability: float64 (T,): with which each frame is audited; 1: it is looked at anyway.
    """

    lowest: Floats
    highest: Floats
    probability: Floats


Maker = Callable[[Rng, int, float, float], Stream]
"""From a generator, a number of frames, an audit rate and α: a stream."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of streams.

    Attributes:
        name: of it.
        text: what it is, in a few words.
        make: makes one stream.
        share: of the frames that a window has usually.
    """

    name: str
    text: str
    make: Maker
    share: float = 1.0


def frames_of(rng: Rng, scene: Scene, missed: npt.NDArray[np.bool_], rate: float) -> Stream:
    """Frames of a scene, of which ``missed`` miss an object."""
    count = len(missed)
    lowest = np.full(count, np.inf)
    highest = scene.highest_risks(rng, count)
    at = np.flatnonzero(missed)
    lowest[at] = scene.lowest_risks(rng, len(at))
    # What covers a missed object is a candidate too.
    highest[at] = np.maximum(highest[at], np.where(lowest[at] > 0, lowest[at], -1.0))
    return Stream(lowest, highest, np.full(count, rate))


def _scene(rng: Rng, alpha: float) -> Scene:
    """Some camera: it misses something in α to 8 α of its frames before anything is asked."""
    return Scene(miss=float(alpha * np.exp(rng.uniform(0.0, np.log(8.0)))))


def steady(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """Misses come independently of each other."""
    scene = _scene(rng, alpha)
    return frames_of(rng, scene, rng.random(count) < scene.miss, rate)


def at_the_edge(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """The hardest: at every threshold but 0, one frame more is lost than was promised."""
    missed = np.zeros(count, np.bool_)
    missed[rng.permutation(count)[: int(alpha * count) + 1]] = True
    stream = frames_of(rng, Scene(miss=alpha), missed, rate)
    stream.lowest[missed] = 0.0
    return stream


def bursts(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """Misses come in bursts: calm and busy times take turns, 15 and 3 minutes at 10 frames/s."""
    scene = _scene(rng, alpha)
    lengths = np.empty(2 * (count // 5400 + 2), np.int64)
    lengths[0::2] = rng.geometric(1 / 9000, len(lengths) // 2)
    lengths[1::2] = rng.geometric(1 / 1800, len(lengths) // 2)
    while lengths.sum() < count:
        lengths = np.r_[lengths, rng.geometric(1 / 9000, 1), rng.geometric(1 / 1800, 1)]
    busy = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    begin = int(rng.integers(0, max(1, len(busy) - count + 1)))
    missing = np.where(busy[begin : begin + count], 5.0, 0.2) * scene.miss
    return frames_of(rng, scene, rng.random(count) < missing, rate)


def dusk(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """The last third of the window is night."""
    scene = _scene(rng, alpha / 2)
    first = 2 * count // 3
    day = frames_of(rng, scene, rng.random(first) < scene.miss, rate)
    dark = night(scene)
    late = frames_of(rng, dark, rng.random(count - first) < dark.miss, rate)
    return _joined(day, late)


def unequal(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """The busy third of the frames is audited three times as often: e-values certify."""
    scene = _scene(rng, alpha)
    busy = (np.arange(count) // 3000) % 3 == 0
    stream = frames_of(rng, scene, rng.random(count) < np.where(busy, 2.0, 0.5) * scene.miss, rate)
    stream.probability[busy] = min(1.0, 3 * rate)
    return stream


def key_frames(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """Every 50th frame is looked at whole in any case."""
    stream = steady(rng, count, rate, alpha)
    stream.probability[::50] = 1.0
    return stream


def site(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """Eight different cameras certify together."""
    parts = [steady(rng, count // 8, rate, alpha) for _ in range(8)]
    whole = parts[0]
    for part in parts[1:]:
        whole = _joined(whole, part)
    return whole


def hopeless(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
    """More objects are missed without any sign than was promised: only sending all helps."""
    scene = Scene(miss=3 * alpha, uncovered=0.5)
    return frames_of(rng, scene, rng.random(count) < scene.miss, rate)


SETTINGS = (
    Setting("steady", "independent misses", steady),
    Setting("edge", "just above the promise at every threshold", at_the_edge),
    Setting("bursts", "calm and busy times", bursts),
    Setting("dusk", "night in the last third", dusk),
    Setting("unequal", "two audit rates, e-values", unequal),
    Setting("key frames", "2 % looked at anyway", key_frames),
    Setting("site", "8 cameras pooled", site),
    Setting("hopeless", "misses without a sign", hopeless),
    Setting("short", "a fifth of the window", steady, share=0.2),
)


def _joined(one: Stream, other: Stream) -> Stream:
    return Stream(
        np.r_[one.lowest, other.lowest],
        np.r_[one.highest, other.highest],
        np.r_[one.probability, other.probability],
    )
