"""Fields inside a document, written ``a.b[2].c``."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from secondlook.shared.errors import InvalidInput

Path = tuple[str | int, ...]

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d{1,6})\]")


def parse_path(text: str) -> Path:
    """The steps of a path.

    Raises:
        InvalidInput: it is not written as ``a.b[2].c``.
    """
    steps: list[str | int] = []
    end = 0
    while end < len(text):
        found = _STEP.match(text, end)
        if found is None or (not steps and (found[1] is None or text.startswith("."))):
            break
        steps.append(found[1] if found[1] is not None else int(found[2]))
        end = found.end()
    if not steps or end != len(text):
        raise InvalidInput(f"{text!r} is no path of a field", remedy="write it as a.b[2].c")
    return tuple(steps)


def put_at(document: dict[str, Any], path: Path, value: Any) -> None:
    """Set a field in place; objects on the way are made, lists are not.

    Raises:
        InvalidInput: a step leads into something that is neither object nor list, or behind the
            end of a list (one behind the end appends).
    """
    place: Any = document
    for step, following in pairwise(path):
        if isinstance(place, dict) and step not in place and isinstance(following, str):
            place[step] = {}
        place = _inside(place, step, path)
    last = path[-1]
    if isinstance(place, list) and isinstance(last, int) and last == len(place):
        place.append(value)
        return
    if not isinstance(place, dict):
        _inside(place, last, path)
    elif not isinstance(last, str):
        raise InvalidInput(f"{shown(path)}: [{last}] into an object; a name expected")
    place[last] = value


def remove_at(document: dict[str, Any], path: Path) -> None:
    """Remove a field in place.

    Raises:
        InvalidInput: there is no such field.
    """
    place: Any = document
    for step in path[:-1]:
        place = _inside(place, step, path)
    _inside(place, path[-1], path)
    del place[path[-1]]


def shown(path: Path) -> str:
    """The path as it is written."""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).removeprefix(".")


def _inside(place: Any, step: str | int, path: Path) -> Any:
    if isinstance(step, str) and isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(step, int) and isinstance(place, list) and step < len(place):
        return place[step]
    where = f"[{step}]" if isinstance(step, int) else repr(step)
    raise InvalidInput(f"{shown(path)}: there is no {where} in the record")
