"""The settings that hold, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel

from secondlook.cli.config.redaction import redact
from secondlook.shared.settings import Layers, Section

Source = Literal["default", "file", "environment"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting.

    Attributes:
        field: its path, ``server.port`` or ``cameras[0].url``.
        value: what holds, as JSON has it, secrets masked; ``None`` where it is not set.
        source: who said so.
        description: the sentence of its definition.
    """

    field: str
    value: Any
    source: Source
    description: str


def nested(settings: Section) -> dict[str, Any]:
    """The settings as tables of JSON values, secrets masked."""
    dumped = settings.model_dump(mode="json", by_alias=False)
    masked = redact("", dumped)
    assert isinstance(masked, dict)
    return masked


def entries(settings: Section, layers: Layers) -> list[Entry]:
    """Every setting that holds, in the order of its definition.

    Args:
        settings: what was made of ``layers``.
        layers: what the file and the environment say.
    """
    return list(_walk("", nested(settings), layers.file, layers.environment, type(settings)))


def _walk(
    prefix: str, values: Mapping[str, Any], file: Any, environment: Any, model: Any
) -> Iterator[Entry]:
    fields = model.model_fields if _is_model(model) else {}
    for name, value in values.items():
        field = fields.get(name)
        annotation = None if field is None else field.annotation
        path = f"{prefix}.{name}" if prefix else name
        in_file, in_environment = _child(file, name), _child(environment, name)
        if isinstance(value, dict) and value:
            yield from _walk(path, value, in_file, in_environment, _model_of(annotation))
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            # A variable replaces the whole list, so what it says hides what the file says.
            seen = in_file if in_environment is _ABSENT else in_environment
            for index, item in enumerate(value):
                said: tuple[Any, Any] = (_child(seen, index), _ABSENT)
                below, above = said if in_environment is _ABSENT else reversed(said)
                yield from _walk(f"{path}[{index}]", item, below, above, _model_of(annotation))
        else:
            description = "" if field is None or not field.description else field.description
            yield Entry(path, value, _source(in_file, in_environment), description)


class _Absent:
    """Says nothing."""


_ABSENT = _Absent()


def _child(tree: Any, key: str | int) -> Any:
    if isinstance(tree, Mapping) and key in tree:
        return tree[key]
    if isinstance(tree, (list, tuple)) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return _ABSENT


def _source(file: Any, environment: Any) -> Source:
    if environment is not _ABSENT:
        return "environment"
    return "default" if file is _ABSENT else "file"


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _model_of(annotation: Any) -> Any:
    """The settings class inside ``X | None``, ``tuple[X, ...]`` and the like; else ``None``."""
    if _is_model(annotation):
        return annotation
    return next((m for part in get_args(annotation) if (m := _model_of(part)) is not None), None)
