"""Settings with a few values changed, named by their path: ``gate.ttl_s``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput

Changes = Mapping[str, Any]
"""Path of a setting -> its value."""


def has_setting(path: str) -> bool:
    """Whether the pipeline has a setting of that path."""
    return path in set(_paths(PipelineSettings))


def changed(settings: PipelineSettings, changes: Changes) -> PipelineSettings:
    """``settings`` with ``changes``, checked as if they had been read from a file.

    Raises:
        InvalidInput: there is no such setting, or a value is out of range; both are named.
    """
    # What nobody set stays unset: a gate file may bring a threshold of its own.
    data: dict[str, Any] = settings.model_dump(exclude_unset=True)
    known = list(_paths(PipelineSettings))
    for path, value in changes.items():
        if path not in known:
            near = difflib.get_close_matches(path, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidInput(f"the edge's pipeline has no setting {path!r}{hint}")
        *sections, name = path.split(".")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    try:
        return PipelineSettings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or ", ".join(changes)
        raise InvalidInput(f"{where}: {first['msg']}") from None


def parsed(text: str) -> tuple[str, str]:
    """``gate.ttl_s=3`` as path and value; the value is read as the setting's type later.

    Raises:
        InvalidInput: it is not of that form.
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise InvalidInput(f"{text!r} is not of the form SECTION.NAME=VALUE")
    return path.strip(), value.strip()


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _paths(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
