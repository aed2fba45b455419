"""From a TOML file and the environment to a settings object, with errors that name the field.

The environment wins over the file, the file over the defaults. A variable is
``SECONDLOOK_<TIER>__<SECTION>__<FIELD>``, for example ``SECONDLOOK_CLOUD__SERVER__PORT=50051``;
its value is read as TOML where it can be, and as text where it cannot. A list of tables
(``[[cameras]]``) comes from the file only.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.settings.section import Section

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_FILE_BYTES = 1_000_000

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Layers:
    """What each source says, as nested tables.

    Attributes:
        file: the content of the settings file.
        environment: the content of the variables of this tier.
    """

    file: Mapping[str, Any]
    environment: Mapping[str, Any]

    def merged(self) -> dict[str, Any]:
        """The environment over the file."""
        return _merge(self.file, self.environment)


def load(model: type[S], tier: str, path: Path | None, environ: Mapping[str, str]) -> S:
    """Read, merge and check the settings of a tier.

    Args:
        model: the settings class.
        tier: ``"edge"`` or ``"cloud"``, the middle of the variables' names.
        path: the settings file; ``None`` for defaults and environment alone.
        environ: the environment, usually ``os.environ``.

    Raises:
        InvalidConfig: names each wrong field, its source and what was expected.
    """
    layers = read_layers(tier, path, environ)
    try:
        return model.model_validate(layers.merged())
    except ValidationError as error:
        where = str(path) if path else "settings"
        raise InvalidConfig(f"{where}: " + "; ".join(problems_of(error, model))) from None


def read_layers(tier: str, path: Path | None, environ: Mapping[str, str]) -> Layers:
    """What the file and the environment say, unchecked.

    Raises:
        InvalidConfig: the file is missing, unreadable, too large or not TOML.
    """
    return Layers(_read_file(path) if path else {}, _read_environment(tier, environ))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidConfig(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        content: dict[str, Any] = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise InvalidConfig(f"settings file {path} does not exist") from None
    except OSError as error:
        raise InvalidConfig(f"settings file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{path} is not UTF-8 text: {error.reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(f"{path} is not TOML: {error}") from None
    return content


def _read_environment(tier: str, environ: Mapping[str, str]) -> dict[str, Any]:
    prefix = f"SECONDLOOK_{tier.upper()}__"
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(prefix):
            continue
        parts = name[len(prefix) :].lower().split("__")
        if not all(parts):
            raise InvalidConfig(f"variable {name} has an empty part between its underscores")
        table = tree
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InvalidConfig(f"variable {name} sets a field inside another variable's value")
        table[parts[-1]] = _parse_value(environ[name])
    return tree


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line a wrong field: which, what is wrong, what was meant or expected."""
    lines = []
    for problem in error.errors(include_url=False):
        location = problem["loc"]
        field = ".".join(str(part) for part in location) or "(top level)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{field} is not a setting{_suggestion(model, location)}")
        else:
            given = problem.get("input")
            shown = "" if isinstance(given, (dict, list)) else f", got {given!r}"
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{field}: {message}{'' if problem['type'] == 'missing' else shown}")
    return lines


def _suggestion(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    table: type[BaseModel] | None = model
    for part in location[:-1]:
        if table is None or not isinstance(part, str):
            continue
        field = table.model_fields.get(part)
        table = None if field is None else _section_of(field.annotation)
    if table is None:
        return ""
    close = difflib.get_close_matches(str(location[-1]), table.model_fields, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(sorted(table.model_fields))}"


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _section_of(part)
        if found is not None:
            return found
    return None
