"""Real audits from a file, resampled in blocks."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.cli.bench.trust.scenes import Floats, Rng
from secondlook.cli.bench.trust.streams import Maker, Stream
from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust.counts import check_lowest_risk

MAX_BYTES = 256 * 1024 * 1024
LEAST = 100
"""Fewest outcomes from which streams are made."""


def read_outcomes(path: Path) -> tuple[Floats, Floats]:
    """Audits in the order of their frames, from JSON lines.

    Each line is ``{"lowest_risk": 0.31, "highest_risk": 0.4}``: the lowest risk among missed
    objects, null where nothing was missed, and the highest risk of a candidate, null without one.
    The second field may be left out; what escalates is not known then.

    Returns:
        lowest and highest risks, float64 (N,), as in `Stream`.

    Raises:
        InvalidInput: the file cannot be read, has too few lines, or one that is wrong; names it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(f"{path} has more than {MAX_BYTES} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    lowest, highest = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                low, high = _outcome(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"{path}, line {number}: {error}") from error
            lowest.append(low)
            highest.append(high)
    if len(lowest) < LEAST:
        raise InvalidInput(f"{path} has {len(lowest)} outcomes; {LEAST} or more expected")
    return np.array(lowest), np.array(highest)


def resampled(lowest: Floats, highest: Floats, block: int) -> Maker:
    """Streams of blocks of successive outcomes, put together at random.

    Blocks wrap around the end, so that every outcome is as likely as any other.
    """

    def make(rng: Rng, count: int, rate: float, alpha: float) -> Stream:
        starts = rng.integers(0, len(lowest), -(-count // block))
        at = ((starts[:, None] + np.arange(block)) % len(lowest)).ravel()[:count]
        return Stream(lowest[at], highest[at], np.full(count, rate))

    return make


def _outcome(value: Any) -> tuple[float, float]:
    if not isinstance(value, dict) or "lowest_risk" not in value:
        raise InvalidInput('an object with "lowest_risk" expected')
    low = value["lowest_risk"]
    lowest = math.inf if low is None else check_lowest_risk(low)
    if "highest_risk" not in value:
        return lowest, math.nan
    high = value["highest_risk"]
    if high is None:
        return lowest, -1.0
    if not isinstance(high, (int, float)) or not 0 <= high <= 1:
        raise InvalidInput(f"highest risk is {high!r}; 0 to 1, or null without any, expected")
    return lowest, float(high)
