"""The curve as a drawing: F1 over KB a frame, ours against the streams, with confidence bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from secondlook.cli.price.curve import Verdicts, f1_of
from secondlook.cli.price.outcome import Outcome
from secondlook.cli.price.shapes import Anchor, Dot, Drawing, Line, Shape, Text, text_width
from secondlook.cli.price.specs import TITLES

_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 22.0, 74.0, 56.0
_TICKS_KB = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_BEND_KB = 0.3
"""Bytes span orders of magnitude and begin at 0: the axis is logarithmic from about here on."""

_SINGLES = {
    "cloud_jpeg": "jpeg",
    "cloud_jpeg_low": "jpeg",
    "score_band": "other",
    "random_gate": "other",
    "oracle_gate": "other",
}
"""Systems that are drawn as a single point with a name, and their colour."""


@dataclass(frozen=True, slots=True)
class _Series:
    """Points of one system.

    Attributes:
        title: in the legend.
        colour: its colour.
        outcomes: cheapest first.
        points: how each is called; the first and the last are written down.
        width: of the line.
    """

    title: str
    colour: str
    outcomes: Sequence[Outcome]
    points: Sequence[str]
    width: float


def curve_drawing(
    verdicts: Verdicts, outcomes: Sequence[Outcome], *, title: str, subtitle: str
) -> Drawing:
    """The curve.

    Args:
        verdicts: its points.
        outcomes: all systems; those that are no curve are drawn as single points.
        title, subtitle: written above it.
    """
    series = [
        *(
            _Series(name, name.replace(".", "").lower(), found, [_point(o) for o in found], 1.6)
            for name, found in verdicts.streams.items()
            if found
        ),
        _Series(
            "Secondlook",
            "ours",
            [point.outcome for point in verdicts.points],
            [point.point.replace("τ", "tau") for point in verdicts.points],
            2.4,
        ),
    ]
    singles = [outcome for outcome in outcomes if outcome.name in _SINGLES]
    shown = [*(o for one in series for o in one.outcomes), *singles]
    most = max([outcome.uplink_kb_per_frame for outcome in shown] + [1.0]) * 1.15
    lowest = _floor([f1_of(outcome) for outcome in shown] + [verdicts.edge_f1])
    x = _scale(0.0, _bent(most), _LEFT + 12, _WIDTH - _RIGHT)
    y = _scale(lowest, 1.0, _HEIGHT - _BOTTOM, _TOP)
    at = _Place(lambda kb: x(_bent(kb)), y)
    shapes: list[Shape] = [
        Text(_LEFT - 46, 24, title, "ink", 16, bold=True),
        Text(_LEFT - 46, 43, subtitle, "soft", 11.5),
        *_grid(lowest, most, at),
        *_edge(verdicts, at),
    ]
    for one in series:
        shapes += _drawn(one, at)
    shapes += [shape for outcome in singles for shape in _single(outcome, at)]
    shapes += _legend(series)
    return Drawing(_WIDTH, _HEIGHT, title, shapes)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value lies on the paper."""

    x: Callable[[float], float]
    y: Callable[[float], float]

    def of(self, outcome: Outcome) -> tuple[float, float]:
        """The place of a system."""
        return self.x(outcome.uplink_kb_per_frame), self.y(f1_of(outcome))


def _grid(lowest: float, most: float, at: _Place) -> list[Shape]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    shapes: list[Shape] = []
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if (1.0 - lowest) / s <= 9)
    for i in range(math.floor((1.0 - lowest) / step + 1e-9) + 1):
        value = 1.0 - i * step
        shapes.append(Line(((_LEFT, at.y(value)), (right, at.y(value))), "rule"))
        shapes.append(Text(_LEFT - 8, at.y(value) + 4, f"{value:.2f}", "soft", 11.5, "end"))
    for kb in _TICKS_KB:
        if kb <= most:
            shapes.append(Line(((at.x(kb), _TOP), (at.x(kb), bottom)), "rule", dash=2.5))
            shapes.append(Text(at.x(kb), bottom + 18, f"{kb:g}", "soft", 11.5, "middle"))
    shapes.append(Line(((_LEFT, bottom), (right, bottom)), "soft"))
    middle = (_LEFT + right) / 2
    shapes.append(
        Text(middle, _HEIGHT - 14, "uplink, KB a frame (KB = 1000 bytes)", "soft", 12, "middle")
    )
    shapes.append(Text(_LEFT - 46, _TOP - 12, "F1", "soft", 12))
    return shapes


def _edge(verdicts: Verdicts, at: _Place) -> list[Shape]:
    y = at.y(verdicts.edge_f1)
    label = f"edge only {verdicts.edge_f1:.3f}"
    right = _WIDTH - _RIGHT
    return [
        Line(((at.x(0.0), y), (right, y)), "edge", 1.4, dash=6),
        Dot(at.x(0.0), y, 4.5, "edge"),
        Text(right - 4, y + 15, label, "edge", 11.5, "end"),
    ]


def _drawn(series: _Series, at: _Place) -> list[Shape]:
    shapes: list[Shape] = []
    places = [at.of(outcome) for outcome in series.outcomes]
    if len(places) > 1:
        shapes.append(Line(tuple(places), series.colour, series.width))
    for outcome, (x, y) in zip(series.outcomes, places, strict=True):
        shapes += _bar(outcome, x, at, series.colour)
        shapes.append(Dot(x, y, 4.6 if series.colour == "ours" else 3.6, series.colour))
    ends = {0, len(places) - 1} if places else set()
    for i in sorted(ends):
        x, y = places[i]
        size = 10.5
        # Two streams lie close together: one is written to the left, one to the right.
        fits = x + 8 + text_width(series.points[i], size) < _WIDTH - _RIGHT
        fits &= series.colour != "h265"
        anchor: Anchor = "start" if fits else "end"
        shift = 8 if anchor == "start" else -8
        shapes.append(Text(x + shift, y + 14, series.points[i], series.colour, size, anchor))
    return shapes


def _bar(outcome: Outcome, x: float, at: _Place, colour: str) -> list[Shape]:
    """The 95 % interval of F1."""
    ends = outcome.standing.interval
    if ends is None:
        return []
    bottom = _HEIGHT - _BOTTOM
    low, high = min(at.y(ends.low), bottom), max(at.y(ends.high), _TOP)
    return [
        Line(((x, low), (x, high)), colour, 1.0),
        Line(((x - 3, low), (x + 3, low)), colour, 1.0),
        Line(((x - 3, high), (x + 3, high)), colour, 1.0),
    ]


def _single(outcome: Outcome, at: _Place) -> list[Shape]:
    x, y = at.of(outcome)
    colour = _SINGLES[outcome.name]
    name = TITLES[outcome.name]
    fits = x + 9 + text_width(name, 11) < _WIDTH - _RIGHT
    return [
        *_bar(outcome, x, at, colour),
        Dot(x, y, 4.2, colour),
        Text(x + (9 if fits else -9), y - 7, name, colour, 11, "start" if fits else "end"),
    ]


def _legend(series: Sequence[_Series]) -> list[Shape]:
    shapes: list[Shape] = []
    right = _WIDTH - _RIGHT
    note = "bars: 95 % intervals"
    x = right - text_width(note, 11)
    shapes.append(Text(right, _TOP - 12, note, "soft", 11, "end"))
    for one in series:
        x -= text_width(one.title, 12) + 44
        shapes.append(Line(((x, _TOP - 16), (x + 20, _TOP - 16)), one.colour, one.width))
        shapes.append(Dot(x + 10, _TOP - 16, 3.6, one.colour))
        shapes.append(Text(x + 26, _TOP - 12, one.title, "ink", 12))
    return shapes


def _point(outcome: Outcome) -> str:
    """What a point of a stream is called: its crf."""
    _, _, crf = outcome.name.partition("@crf")
    return f"crf {crf}" if crf else ""


def _bent(kb: float) -> float:
    return math.log10(1 + kb / _BEND_KB)


def _floor(values: Sequence[float]) -> float:
    """A round F1 below the smallest."""
    smallest = min([*values, 0.98])
    return max(0.0, math.floor((smallest - 0.015) * 20) / 20)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    factor = (end - start) / (high - low if high > low else 1.0)
    return lambda value: start + (value - low) * factor
