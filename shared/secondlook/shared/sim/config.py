"""What a `sim://street` URL may say, with types, bounds and units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl, urlsplit

from secondlook.shared.errors import InvalidConfig

CLASS_NAMES: tuple[str, ...] = ("person", "bicycle", "car", "bus", "truck")
PERSON, BICYCLE, CAR, BUS, TRUCK = range(5)

_MIN_WIDTH, _MAX_WIDTH = 160, 1920
_MIN_HEIGHT, _MAX_HEIGHT = 96, 1088


class StreetConfigError(InvalidConfig):
    """A parameter of the simulated street is unknown or out of range; the text names it."""


@dataclass(frozen=True)
class StreetConfig:
    """Parameters of one simulated street camera.

    A parameter whose default is None varies slowly with time when it is left alone.

    Args:
        seed: which street; layout, traffic and weather all follow from it. 0..2**31-1.
        width: frame width, pixels. 160..1920.
        height: frame height, pixels. 96..1088.
        fps: frames per second. 0.1..120.
        frames: length of the clip in frames, None for endless. 1..10**9.
        density: traffic and people, 1 is usual, 0 an empty street. 0..3.
        hour: hour of the day, 0..24; None runs through the day, one day each `day_s`.
        day_s: length of a simulated day, seconds. 10..86400.
        rain: 0 (dry) .. 1 (heavy); None varies.
        noise: multiplier of sensor noise. 0..4.
        blur: multiplier of defocus and motion blur. 0..4.
        quality: JPEG quality of the camera's stream, 10..100; None varies.
        shake: multiplier of camera shake. 0..4.
        lookalikes: number of things that look like an object and are none, 1 is usual. 0..3.

    Raises:
        StreetConfigError: a value is out of range; the text names parameter and range.
    """

    seed: int = 7
    width: int = 640
    height: int = 384
    fps: float = 10.0
    frames: int | None = None
    density: float = 1.0
    hour: float | None = None
    day_s: float = 90.0
    rain: float | None = None
    noise: float = 1.0
    blur: float = 1.0
    quality: int | None = None
    shake: float = 1.0
    lookalikes: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            wants_int = name in _INTEGERS
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if (
                not is_number
                or (wants_int and not isinstance(value, int))
                or not math.isfinite(value)
                or not low <= value <= high
            ):
                raise StreetConfigError(_out_of_range(name, value))

    @classmethod
    def from_url(cls, url: str) -> StreetConfig:
        """Parse `sim://street?seed=7&size=640x384&fps=10...`.

        Raises:
            StreetConfigError: wrong scheme or scene, unknown or repeated parameter, bad value.
        """
        parts = urlsplit(url)
        if parts.scheme != "sim" or parts.netloc != "street" or parts.path not in ("", "/"):
            raise StreetConfigError(f"{url!r}: expected sim://street?name=value&...")
        values: dict[str, int | float] = {}
        try:
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise StreetConfigError(f"{url!r}: expected name=value&name=value") from error
        for name, text in pairs:
            if name == "size":
                found: dict[str, int | float] = dict(
                    zip(("width", "height"), _parse_size(text), strict=True)
                )
            elif name in _PARSERS and name not in ("width", "height"):
                found = {name: _parse_number(name, text)}
            else:
                known = ", ".join(["size", *(n for n in _PARSERS if n not in ("width", "height"))])
                raise StreetConfigError(f"sim://street: unknown parameter {name!r}; known: {known}")
            if found.keys() & values.keys():
                raise StreetConfigError(f"sim://street: {name!r} is given twice")
            values.update(found)
        return cls(**values)  # type: ignore[arg-type]  # _parse_number made the right types


_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "width": (_MIN_WIDTH, _MAX_WIDTH),
    "height": (_MIN_HEIGHT, _MAX_HEIGHT),
    "fps": (0.1, 120),
    "frames": (1, 10**9),
    "density": (0, 3),
    "hour": (0, 24),
    "day_s": (10, 86400),
    "rain": (0, 1),
    "noise": (0, 4),
    "blur": (0, 4),
    "quality": (10, 100),
    "shake": (0, 4),
    "lookalikes": (0, 3),
}
_INTEGERS = frozenset({"seed", "width", "height", "frames", "quality"})
_OPTIONAL = frozenset({"frames", "hour", "rain", "quality"})
_PARSERS: dict[str, Callable[[str], int | float]] = {
    field.name: int if field.name in _INTEGERS else float for field in fields(StreetConfig)
}


def _out_of_range(name: str, value: object) -> str:
    low, high = _RANGES[name]
    kind = "an integer" if name in _INTEGERS else "a number"
    return f"sim://street: {name}={value!r} is not {kind} from {low:g} to {high:g}"


def _parse_number(name: str, text: str) -> int | float:
    try:
        return _PARSERS[name](text)
    except ValueError as error:
        raise StreetConfigError(_out_of_range(name, text)) from error


def _parse_size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise StreetConfigError(
            f"sim://street: size={text!r} is not WIDTHxHEIGHT, from {_MIN_WIDTH}x{_MIN_HEIGHT} "
            f"to {_MAX_WIDTH}x{_MAX_HEIGHT}"
        )
    return int(width), int(height)
