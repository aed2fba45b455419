"""Charts as inline SVG. Colours come from the page's style sheet, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 16.0, 26.0, 40.0
_WIDTH, _HEIGHT = 560.0, 320.0
_LETTER = 7.6  # width of a letter of a label, about


@dataclass(frozen=True, slots=True)
class Point:
    """A system on the price chart.

    Attributes:
        key: CSS class of its colour.
        title: what people call it.
        kb: uplink, KB a frame.
        first: F1 of what was said at once.
        final: F1 of what stood in the end.
    """

    key: str
    title: str
    kb: float
    first: float
    final: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line over time.

    Attributes:
        key: CSS class of its colour.
        title: what it shows.
        points: (seconds, F1).
        dashed: drawn dashed.
    """

    key: str
    title: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def price_chart(points: Sequence[Point]) -> str:
    """F1 against uplink KB a frame. An arrow leads from the first answer to the final one."""
    most = max([point.kb for point in points] + [1.0])
    lowest = _floor(value for p in points for value in (p.first, p.final))
    # Bytes span orders of magnitude and begin at 0: logarithmic, but for the first fraction of KB.
    span = _log(most * 1.6)
    x = _scale(0, span, _LEFT + 14, _WIDTH - _RIGHT)
    y = _scale(lowest, 1.0, _HEIGHT - _BOTTOM, _TOP)
    ticks = [t for t in (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0) if t <= most * 1.6]
    parts = [_horizontal(lowest, y), *(_vertical(f"{t:g}", x(_log(t))) for t in ticks)]
    parts.append(_caption("uplink, KB a frame"))
    dots = [(x(_log(point.kb)), y(point.final)) for point in points]
    for point, (at, top) in zip(points, dots, strict=True):
        start = y(point.first)
        if abs(top - start) > 8:
            end = top + (7 if start > top else -7)
            parts.append(
                f'<line class="arrow {point.key}" x1="{at:.1f}" y1="{start:.1f}" x2="{at:.1f}" '
                f'y2="{end:.1f}"/>'
                f'<circle class="hollow {point.key}" cx="{at:.1f}" cy="{start:.1f}" r="5"/>'
            )
        parts.append(f'<circle class="dot {point.key}" cx="{at:.1f}" cy="{top:.1f}" r="6"/>')
    texts = [f"{point.title} {point.final:.3f}" for point in points]
    for point, text, (left, base) in zip(points, texts, _labels(dots, texts), strict=True):
        parts.append(
            f'<text class="name {point.key}" x="{left:.1f}" y="{base:.1f}">{escape(text)}</text>'
        )
    return _svg("F1 against uplink bytes", parts)


def time_chart(lines: Sequence[Line]) -> str:
    """F1 over the time of the clip."""
    values = [(t, v) for line in lines for t, v in line.points]
    if not values:
        return ""
    lowest = _floor(value for _, value in values)
    last = max(t for t, _ in values)
    x = _scale(0, max(last, 1e-3), _LEFT + 6, _WIDTH - _RIGHT)
    y = _scale(lowest, 1.0, _HEIGHT - _BOTTOM, _TOP)
    step = next(s for s in (1, 2, 5, 10, 20, 60, 120, 600, 1e9) if last / s <= 8)
    seconds = [i * step for i in range(int(last / step) + 1)]
    parts = [_horizontal(lowest, y), *(_vertical(f"{s:g}", x(s)) for s in seconds)]
    parts.append(_caption("time in the clip, seconds"))
    for line in lines:
        path = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in line.points)
        dashed = " dashed" if line.dashed else ""
        parts.append(f'<polyline class="line {line.key}{dashed}" points="{path}"/>')
    return _svg("F1 over time", parts) + _legend(lines)


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li><svg viewBox="0 0 26 8" aria-hidden="true"><line class="line {line.key}'
        f'{" dashed" if line.dashed else ""}" x1="1" y1="4" x2="25" y2="4"/></svg>'
        f"{escape(line.title)}</li>"
        for line in lines
    )
    return f'<ul class="legend">{items}</ul>'


def _svg(title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _horizontal(lowest: float, y: Callable[[float], float]) -> str:
    """Grid lines of F1."""
    step = 0.1 if 1.0 - lowest > 0.35 else 0.05
    count = math.floor((1.0 - lowest) / step + 1e-9)
    values = [1.0 - i * step for i in range(count + 1)]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" y1="{y(v):.1f}" x2="{_WIDTH - _RIGHT}" y2="{y(v):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text>'
        for v in values
    )


def _vertical(label: str, at: float) -> str:
    bottom = _HEIGHT - _BOTTOM
    return (
        f'<line class="grid faint" x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{bottom}"/>'
        f'<text class="tick" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>'
    )


def _caption(text: str) -> str:
    return (
        f'<text class="axis" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" '
        f'text-anchor="middle">{escape(text)}</text>'
        f'<text class="axis" x="12" y="{_TOP - 6}" text-anchor="start">F1</text>'
    )


def _labels(dots: Sequence[tuple[float, float]], texts: Sequence[str]) -> list[tuple[float, float]]:
    """Where each label begins, left and base line: beside its dot, where nothing is yet."""
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in dots]
    places = []
    for (x, y), text in zip(dots, texts, strict=True):
        width = _LETTER * len(text)
        choices = [
            (left, base)
            for base in (y - 9, y + 19, y - 24, y + 34)
            for left in (x + 9, x - 9 - width, x - width / 2)
            if left > _LEFT and left + width < _WIDTH and _TOP < base < _HEIGHT - _BOTTOM
        ] or [(x + 9, y - 9)]
        free = [
            (left, base)
            for left, base in choices
            if not any(_meet((left, base - 12, left + width, base + 3), box) for box in taken)
        ]
        left, base = (free or choices)[0]
        taken.append((left, base - 12, left + width, base + 3))
        places.append((left, base))
    return places


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two rectangles, x1 y1 x2 y2, overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _log(kb: float) -> float:
    return math.log10(1 + kb / 0.2)


def _floor(values: Iterable[float]) -> float:
    """The lowest tick of F1: a tenth at or below the smallest value."""
    smallest = min([*values, 0.95])
    return max(0.0, math.floor((smallest - 0.02) * 10) / 10)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From values to pixels."""
    factor = (end - start) / (high - low if high > low else 1.0)
    return lambda value: start + (value - low) * factor
