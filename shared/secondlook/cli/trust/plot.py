"""Trust as a picture: what each threshold would lose, and what the last windows proved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.cli.memory.shown import when
from secondlook.cli.trust.gathering import Standing
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.trust import counts_of, walk

MOST = 12
"""Most cameras of one picture; those that are not certified go first."""
WIDTH, ROW = 1200, 300
_LEFT, _GAP, _TOP, _BOTTOM = 70, 110, 62, 42
_MOST_WINDOWS = 60

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

# BGR.
_INK: Colour = (60, 50, 45)
_FAINT: Colour = (225, 222, 218)
_BOUND: Colour = (180, 105, 30)
_PLAIN: Colour = (160, 160, 160)
_PROMISE: Colour = (60, 60, 200)
_GOOD: Colour = (80, 150, 60)
_STATES: dict[str, Colour] = {
    "certified": _GOOD,
    "alarm": _PROMISE,
    "slo-infeasible": _PROMISE,
}
_OTHER: Colour = (40, 170, 220)


def write_plot(standings: Sequence[Standing], path: Path) -> int:
    """Write a PNG. Returns how many cameras and sites are in it.

    Raises:
        InvalidInput: the file cannot be written, or is no PNG by its name.
    """
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"{path}: a name that ends in .png expected")
    first = sorted(standings, key=lambda s: (s.newest.state == "certified", s.name))[:MOST]
    picture = draw(first)
    done, encoded = cv2.imencode(".png", picture)
    assert done
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
    return len(first)


def draw(standings: Sequence[Standing]) -> Picture:
    """One row for each: uint8 (rows * `ROW`, `WIDTH`, 3), BGR."""
    picture: Picture = np.full((max(1, len(standings)) * ROW, WIDTH, 3), 255, np.uint8)
    for number, standing in enumerate(standings):
        top = number * ROW
        newest = standing.newest
        colour = _STATES.get(newest.state, _OTHER)
        _text(picture, standing.name, (_LEFT, top + 24), _INK, 0.6)
        _text(picture, newest.state, (_LEFT + 480, top + 24), colour, 0.6)
        _by_threshold(picture, standing, top)
        _by_window(picture, standing, top)
    return picture


def _by_threshold(picture: Picture, standing: Standing, top: int) -> None:
    """Left: bound and plain estimate of the lost share at each threshold."""
    window = standing.shown
    x0, x1 = _LEFT, WIDTH // 2 - _GAP // 2
    _text(
        picture,
        "lost frames by threshold: bound blue, estimate grey, promise red",
        (x0, top + 48),
        _INK,
    )
    curves = _curves(window)
    most = 3 * window.alpha
    y = _frame(picture, (x0, x1), top, window.alpha, most)
    if curves is None:
        _text(picture, "no curve: several audit rates, or no frames", (x0 + 20, top + 150), _INK)
        return
    bounds, estimates = curves
    # Thresholds lie closer together where they are small.
    xs = x0 + np.linspace(0, 1, len(bounds)) * (x1 - x0)
    for values, colour in ((estimates, _PLAIN), (bounds, _BOUND)):
        known = np.isfinite(values)
        points = [(float(a), y(float(b))) for a, b in zip(xs[known], values[known], strict=True)]
        _line(picture, points, colour)
    certified = window.certified_tau
    for at, value in zip(xs, window.thresholds, strict=True):
        if certified is not None and value == certified:
            _line(picture, [(at, top + _TOP), (at, top + ROW - _BOTTOM)], _GOOD)
    for at, value in list(zip(xs, window.thresholds, strict=True))[:: max(1, len(xs) // 8)]:
        _text(picture, f"{value:g}", (int(at) - 10, top + ROW - _BOTTOM + 18), _INK)


def _by_window(picture: Picture, standing: Standing, top: int) -> None:
    """Right: the bound of each of the last windows, by its state."""
    ended = [w for w in standing.windows if w.ended_s is not None][-_MOST_WINDOWS:]
    x0, x1 = WIDTH // 2 + _GAP // 2, WIDTH - 20
    _text(picture, "certified bound of each window; crosses: nothing proved", (x0, top + 48), _INK)
    alpha = standing.newest.alpha
    y = _frame(picture, (x0, x1), top, alpha, 1.5 * alpha)
    if not ended:
        _text(picture, "no window has ended yet", (x0 + 20, top + 150), _INK)
        return
    step = (x1 - x0) / len(ended)
    for number, window in enumerate(ended):
        at = int(x0 + (number + 0.5) * step)
        colour = _STATES.get(window.state, _OTHER)
        if window.certified_tau and window.bound is not None:
            half = max(2, int(step / 3))
            low, high = (at - half, int(y(window.bound))), (at + half, top + ROW - _BOTTOM)
            cv2.rectangle(picture, low, high, colour, -1, cv2.LINE_AA)
        else:
            place = (at, top + ROW - _BOTTOM - 12)
            cv2.drawMarker(picture, place, colour, cv2.MARKER_TILTED_CROSS, 12, 2, cv2.LINE_AA)
    base = top + ROW - _BOTTOM + 18
    _text(picture, when(ended[0].started_s), (x0, base), _INK)
    if len(ended) > 1:
        _text(picture, when(ended[-1].ended_s), (x1 - 150, base), _INK)


def _curves(
    window: TrustWindow,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Bounds and estimates at each threshold, where they can be told."""
    if window.frames == 0 or (window.audit_rate is None and window.frames > window.known):
        return None
    found = walk(counts_of(window), window.alpha, window.delta)
    return found.bounds, found.estimates


def _frame(
    picture: Picture, across: tuple[int, int], top: int, alpha: float, most: float
) -> Callable[[float], float]:
    """Axes with the promise as a line; returns the way from a share to a row of pixels."""
    high, low = top + _TOP, top + ROW - _BOTTOM

    def y(share: float) -> float:
        return low - min(1.0, share / most) * (low - high)

    for share in np.linspace(0, most, 4):
        _line(picture, [(across[0], y(share)), (across[1], y(share))], _FAINT)
        _text(picture, f"{share:.2%}", (across[0] - 58, int(y(share)) + 4), _INK)
    _line(picture, [(across[0], y(alpha)), (across[1], y(alpha))], _PROMISE)
    return y


def _line(picture: Picture, points: Sequence[tuple[float, float]], colour: Colour) -> None:
    if len(points) > 1:
        at = np.round(np.array(points)).astype(np.int32)[None]
        cv2.polylines(picture, [at], False, colour, 2, cv2.LINE_AA)


def _text(
    picture: Picture, text: str, at: tuple[int, int], colour: Colour, size: float = 0.4
) -> None:
    shown = text.encode("ascii", "replace").decode()  # the font has no other letters
    cv2.putText(picture, shown[:80], at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
