"""Settings written as TOML: the few types that settings have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write_toml(values: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """``values`` as a settings file; a comment behind each line tells its source.

    What is not set has no line, since TOML has no null.

    Args:
        values: nested tables of JSON values.
        sources: source of each value by its path, ``cameras[0].url``; a value without one is
            left out.
    """
    return "\n".join(_table("", "", values, sources)).strip() + "\n"


def _table(
    header: str, path: str, values: Mapping[str, Any], sources: Mapping[str, str]
) -> Iterator[str]:
    later: list[tuple[str, str, Mapping[str, Any], bool]] = []
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        name = f"{header}.{_key(key)}" if header else _key(key)
        if isinstance(value, dict) and value:
            later.append((name, here, value, False))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            later += [(name, f"{here}[{i}]", item, True) for i, item in enumerate(value)]
        elif value is not None and here in sources:
            yield f"{_key(key)} = {_value(value)}  # {sources[here]}"
    # TOML wants the plain keys of a table before its sub-tables.
    for name, here, table, is_list in later:
        lines = list(_table(name, here, table, sources))
        if lines:
            yield ""
            yield f"[[{name}]]" if is_list else f"[{name}]"
            yield from lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value if item is not None) + "]"
    if isinstance(value, dict):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    raise TypeError(f"settings hold no {type(value).__name__}")


def _text(text: str) -> str:
    # A JSON string without surrogate escapes is a TOML basic string, DEL apart.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
