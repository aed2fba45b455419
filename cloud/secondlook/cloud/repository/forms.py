"""The forms of a configuration: ``config.pbtxt``, ``config.toml``, JSON; each to one message."""

from __future__ import annotations

import difflib
import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, text_format

from secondlook.cloud.repository.findings import FaultyConfig, Issue
from secondlook.cloud.repository.places import Places, line_of_bad_escape
from secondlook.oip import model_config_pb2 as pb

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 256 * 1024
"""A larger configuration is refused unread; usual ones have 1 kB."""

_UNKNOWN = re.compile(r'Message type "inference\.([A-Za-z0-9_.]+)" has no field named "([^"]*)"')
_POSITION = re.compile(r"^\d+:\d+ : ")
_QUOTED_LINE = re.compile(r"^'.*?': ", re.DOTALL)
_PATH = re.compile(r'at "?ModelConfig\.?([A-Za-z0-9_.\[\]]*)"?')


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as it was written.

    Attributes:
        message: what it says.
        where: the file, or what else it came from, for error messages.
        places: the lines of its fields; ``None`` for a form without lines.
        batch_said: whether ``max_batch_size`` is written, be it as 0.
    """

    message: pb.ModelConfig
    where: str
    places: Places | None = None
    batch_said: bool = False

    def at(self, issue: Issue) -> Issue:
        """The issue, with its line."""
        line = self.places.line(issue.field) if self.places is not None else None
        return Issue(issue.field, issue.reason, line)


def from_text(data: bytes, where: str) -> Written:
    """Parse ``config.pbtxt``.

    Raises:
        FaultyConfig: too large, not UTF-8, or not text format; with line and field.
    """
    text = _decoded(data, where)
    line = line_of_bad_escape(text)
    if line is not None:
        raise FaultyConfig(where, [Issue("", "a string has an escape that is none", line)])
    message = pb.ModelConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise FaultyConfig(where, [_misparsed(error)]) from None
    except (RecursionError, ValueError) as error:
        # Nested without end; an integer of thousands of digits.
        raise FaultyConfig(where, [Issue("", f"cannot be parsed: {error}")]) from None
    places = Places(text)
    doubled = [Issue(field, "is there twice", line) for field, line in places.doubled]
    if doubled:
        raise FaultyConfig(where, doubled)
    return Written(message, where, places, places.has("max_batch_size"))


def from_toml(data: bytes, where: str) -> Written:
    """Parse ``config.toml``: the fields of ``config.pbtxt``, parameters as plain values.

    Raises:
        FaultyConfig: too large, not UTF-8, not TOML, or an unknown or wrong field.
    """
    try:
        said = tomllib.loads(_decoded(data, where))
    except (ValueError, RecursionError) as error:
        raise FaultyConfig(where, [Issue("", f"is not TOML: {error}", _line_of(error))]) from None
    return _from_mapping(said, where)


def from_json(text: str, where: str) -> Written:
    """Parse the JSON of a load call.

    Raises:
        FaultyConfig: too large, not a JSON object, or an unknown or wrong field.
    """
    if len(text) > MAX_BYTES:
        raise FaultyConfig(where, [Issue("", f"is larger than {MAX_BYTES} bytes")])
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaultyConfig(where, [Issue("", f"is not JSON: {error}")]) from None
    if not isinstance(said, dict):
        raise FaultyConfig(where, [Issue("", f"holds a {type(said).__name__}, not an object")])
    return _from_mapping(said, where)


def _from_mapping(said: dict[str, Any], where: str) -> Written:
    message = pb.ModelConfig()
    parameters = said.get("parameters")
    if isinstance(parameters, dict):
        said = {**said, "parameters": {key: _wrapped(v) for key, v in parameters.items()}}
    try:
        json_format.ParseDict(said, message)
    except json_format.ParseError as error:
        raise FaultyConfig(where, [_mismapped(error)]) from None
    except (RecursionError, TypeError, ValueError, AttributeError) as error:
        # Values of TOML that JSON has not, such as dates, and nesting without end.
        raise FaultyConfig(where, [Issue("", f"cannot be read: {error}")]) from None
    return Written(message, where, None, "max_batch_size" in said or "maxBatchSize" in said)


def _wrapped(value: Any) -> Any:
    """A plain value as the message of a parameter."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    return value if isinstance(value, dict) else {"string_value": str(value)}


def _decoded(data: bytes, where: str) -> str:
    if len(data) > MAX_BYTES:
        raise FaultyConfig(where, [Issue("", f"is larger than {MAX_BYTES} bytes")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FaultyConfig(where, [Issue("", "is not text in UTF-8", line)]) from None


def _misparsed(error: text_format.ParseError) -> Issue:
    reason = _QUOTED_LINE.sub("", _POSITION.sub("", str(error))).rstrip(".")
    unknown = _unknown(reason)
    if unknown is not None:
        field, reason = unknown
        return Issue(field, reason, error.GetLine())
    return Issue("", reason[:300], error.GetLine())


def _mismapped(error: json_format.ParseError) -> Issue:
    text = str(error).splitlines()[0]
    path = _PATH.search(text)
    field = path[1].rstrip(".") if path else ""
    unknown = _unknown(text)
    if unknown is not None:
        name, reason = unknown
        return Issue(".".join(part for part in (field, name) if part), reason)
    reason = _PATH.sub("", text).strip().rstrip(".")
    return Issue(field, reason[:300])


def _unknown(reason: str) -> tuple[str, str] | None:
    """The name of an unknown field and what to say of it, where that is what is wrong."""
    match = _UNKNOWN.search(reason)
    if match is None:
        return None
    kind, name = match[1], match[2][:60]
    known = sorted(_fields(kind))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return name, f"no such field in {kind}; {hint}"


def _fields(kind: str) -> list[str]:
    """Names of the fields of one of our messages; ``kind`` as ``ModelVersionPolicy.Latest``."""
    described = pb.DESCRIPTOR.message_types_by_name.get(kind.partition(".")[0])
    for name in kind.split(".")[1:]:
        if described is None:
            break
        described = described.nested_types_by_name.get(name)
    return [] if described is None else [field.name for field in described.fields]


def _line_of(error: BaseException) -> int | None:
    """The line that the TOML parser names at the end of its message."""
    match = re.search(r"at line (\d+)", str(error))
    return int(match[1]) if match else None
