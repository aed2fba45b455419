"""A drawing as a list of simple shapes, and how they become SVG or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.shared.errors import InvalidInput

Anchor = Literal["start", "middle", "end"]

COLOURS = {
    "paper": "#ffffff",
    "ink": "#1c1f23",
    "soft": "#5d6670",
    "rule": "#dcdfe3",
    "edge": "#6b7785",
    "jpeg": "#b4690e",
    "h264": "#7a3fb0",
    "h265": "#2f6fd0",
    "ours": "#0b7a5c",
    "other": "#a23b5a",
}
"""Name of a colour -> its value on paper; pages give the same names other values in the dark."""

_SCALE = 2
"""Pixels of a PNG for each unit of a drawing."""

_SMOOTH = 2
"""A PNG is drawn so many times larger, then made small: lines and letters get smooth."""

_LETTER = 0.53
"""Width of a letter, as a part of its size."""


@dataclass(frozen=True, slots=True)
class Line:
    """Straight pieces from point to point."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.0
    dash: float = 0.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle with a rim of paper."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; ``x``, ``y`` is on its base line. Latin letters only, for PNG's sake."""

    x: float
    y: float
    text: str
    colour: str
    size: float = 12.0
    anchor: Anchor = "start"
    bold: bool = False


Shape = Line | Dot | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on paper.

    Attributes:
        width, height: of the paper, units.
        title: for those who cannot see it.
        shapes: in the order in which they are drawn.
    """

    width: int
    height: int
    title: str
    shapes: Sequence[Shape]


def text_width(text: str, size: float) -> float:
    """About how wide a text is, units."""
    return _LETTER * size * len(text)


def as_svg(drawing: Drawing) -> str:
    """SVG whose colours are the page's variables, by the names of `COLOURS`."""
    body = "".join(_svg(shape) for shape in drawing.shapes)
    return (
        f'<svg class="chart" viewBox="0 0 {drawing.width} {drawing.height}" role="img">'
        f"<title>{escape(drawing.title)}</title>{body}</svg>"
    )


def as_png(drawing: Drawing) -> bytes:
    """A PNG on white paper.

    Raises:
        InvalidInput: it cannot be encoded.
    """
    factor = _SCALE * _SMOOTH
    size = (drawing.height * factor, drawing.width * factor, 3)
    canvas = np.full(size, 255, np.uint8)
    for shape in drawing.shapes:
        _paint(canvas, shape, factor)
    small = cv2.resize(
        canvas,
        (drawing.width * _SCALE, drawing.height * _SCALE),
        interpolation=cv2.INTER_AREA,
    )
    done, data = cv2.imencode(".png", small)
    if not done:
        raise InvalidInput(f"a drawing of {drawing.width}x{drawing.height} cannot be encoded")
    return data.tobytes()


def _svg(shape: Shape) -> str:
    if isinstance(shape, Line):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dash = f" stroke-dasharray:{shape.dash:g} {shape.dash:g};" if shape.dash else ""
        return (
            f'<polyline points="{path}" style="fill:none; stroke:var(--{shape.colour}); '
            f'stroke-width:{shape.width:g}; stroke-linejoin:round;{dash}"/>'
        )
    if isinstance(shape, Dot):
        return (
            f'<circle cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{shape.radius:g}" '
            f'style="fill:var(--{shape.colour}); stroke:var(--paper); stroke-width:1.5"/>'
        )
    weight = "font-weight:600; " if shape.bold else ""
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" '
        f'style="{weight}fill:var(--{shape.colour}); font-size:{shape.size:g}px">'
        f"{escape(shape.text)}</text>"
    )


def _paint(canvas: npt.NDArray[np.uint8], shape: Shape, factor: int) -> None:
    colour = _bgr(shape.colour)
    if isinstance(shape, Line):
        thickness = max(1, round(shape.width * factor))
        for start, end in _pieces(shape):
            cv2.line(canvas, _at(start, factor), _at(end, factor), colour, thickness, cv2.LINE_AA)
    elif isinstance(shape, Dot):
        place = _at((shape.x, shape.y), factor)
        rim, fill = round((shape.radius + 1) * factor), round(shape.radius * factor)
        cv2.circle(canvas, place, rim, _bgr("paper"), -1, cv2.LINE_AA)
        cv2.circle(canvas, place, fill, colour, -1, cv2.LINE_AA)
    else:
        _letter(canvas, shape, factor, colour)


def _letter(
    canvas: npt.NDArray[np.uint8], shape: Text, factor: int, colour: tuple[int, int, int]
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    thickness = max(1, round((0.14 if shape.bold else 0.085) * shape.size * factor))
    scale = cv2.getFontScaleFromHeight(font, round(0.7 * shape.size * factor), thickness)
    text = shape.text.encode("ascii", "replace").decode()
    (width, _), _ = cv2.getTextSize(text, font, scale, thickness)
    shift = {"start": 0.0, "middle": width / 2, "end": float(width)}[shape.anchor]
    place = (round(shape.x * factor - shift), round(shape.y * factor))
    cv2.putText(canvas, text, place, font, scale, colour, thickness, cv2.LINE_AA)


def _pieces(line: Line) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The visible pieces of a line: all of it, or every other stretch of a dashed one."""
    pieces = []
    for (x1, y1), (x2, y2) in zip(line.points, line.points[1:], strict=False):
        length = float(np.hypot(x2 - x1, y2 - y1))
        if not line.dash or not length:
            pieces.append(((x1, y1), (x2, y2)))
            continue
        for start in np.arange(0.0, length, 2 * line.dash):
            a, b = start / length, min(1.0, (start + line.dash) / length)
            pieces.append(
                (
                    (x1 + (x2 - x1) * a, y1 + (y2 - y1) * a),
                    (x1 + (x2 - x1) * b, y1 + (y2 - y1) * b),
                )
            )
    return pieces


def _at(point: tuple[float, float], factor: int) -> tuple[int, int]:
    return round(point[0] * factor), round(point[1] * factor)


def _bgr(colour: str) -> tuple[int, int, int]:
    value = COLOURS[colour]
    return int(value[5:7], 16), int(value[3:5], 16), int(value[1:3], 16)
