"""Simulated cameras: which objects their answers miss, and which candidates they have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Scene:
    """How a camera errs.

    Attributes:
        miss: probability that the answer on a frame misses an object.
        uncovered: of these, share where no candidate covers a missed object: risk 0.
        risk: of a missed object that a candidate covers: a and b of a beta distribution.
        scale: by which these risks are multiplied; below 1 the risk model is too sure.
        unsure: probability that a frame has candidates although nothing is missed.
        calm: b of the beta distribution (1, b) of the highest risk in such a frame; the higher, the
            lower the risks.
    """

    miss: float
    uncovered: float = 0.04
    risk: tuple[float, float] = (2.0, 3.0)
    scale: float = 1.0
    unsure: float = 0.25
    calm: float = 6.0

    def lowest_risks(self, rng: Rng, count: int) -> Floats:
        """Lowest risk among missed objects of ``count`` frames that miss one: float64 (count,)."""
        risks = rng.beta(*self.risk, count) * self.scale
        risks[rng.random(count) < self.uncovered] = 0.0
        return risks

    def highest_risks(self, rng: Rng, count: int) -> Floats:
        """Highest risk of candidates of ``count`` frames that miss nothing; -1 without any."""
        risks = np.full(count, -1.0)
        unsure = np.flatnonzero(rng.random(count) < self.unsure)
        risks[unsure] = 1 - rng.random(len(unsure)) ** (1 / self.calm)
        return risks

    def loss_at(self, tau: float, rng: Rng) -> float:
        """Share of frames that are lost at a threshold, by drawing many."""
        return self.miss * float((self.lowest_risks(rng, 200_000) < tau).mean())


NIGHT = "night: 4 times the misses, 3 times the share without any candidate"
BLUR = "blur: 2.5 times the misses, their risks 0.6 times as high"
SHIFT = "shift: a moved camera; 1.5 times the misses, risks 0.5 times as high"


def night(scene: Scene) -> Scene:
    """Little light: the light model sees less, and nothing at all of much of it."""
    return replace(scene, miss=4 * scene.miss, uncovered=min(1.0, 3 * scene.uncovered))


def blur(scene: Scene) -> Scene:
    """A dirty or fogged lens: weaker scores, which the risk model takes for nothing."""
    return replace(scene, miss=2.5 * scene.miss, scale=0.6 * scene.scale)


def shift(scene: Scene) -> Scene:
    """A camera that was turned: the calibration is that of another scene."""
    return replace(scene, miss=1.5 * scene.miss, scale=0.5 * scene.scale)


CHANGES = ((NIGHT, night), (BLUR, blur), (SHIFT, shift))
