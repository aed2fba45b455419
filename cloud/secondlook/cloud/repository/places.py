"""In which line of a text-format file each field stands.

``google.protobuf.text_format`` tells lines of what it cannot parse, and of nothing else; what
parses and is wrong nevertheless (a batch of -3) has a line too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

_TOKEN = re.compile(
    r"(?P<skip>[ \t\r\f\v]+|\#[^\n]*)|(?P<newline>\n)"
    r"|(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    r"|(?P<word>[A-Za-z0-9_.+-]+)|(?P<mark>.)",
    re.DOTALL,
)
_DOT = re.compile(r"\.(?![^\[]*\])")
"""A dot between fields, and not one in the key of a map."""

_OPEN, _CLOSE = frozenset("{<"), frozenset("}>")
_SEPARATORS = frozenset(",;")

_STRING = re.compile(
    r"(?:[^\\]|\\(?:[abfnrtv\\'\"]|[0-3][0-7]{2}|[0-7]{1,2}(?![0-7])|x[0-9a-fA-F]{1,2}"
    r"|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*"
)
"""A string all of whose escapes are some; Python's parser takes others, and warns."""


def line_of_bad_escape(text: str) -> int | None:
    """The first line with a string that has an escape such as ``\\q`` or ``\\777``."""
    for kind, token, line in _tokens(text):
        if kind == "string" and not _STRING.fullmatch(token[1:-1]):
            return line
    return None


class Places:
    """Lines of the fields of one file that has been parsed.

    Args:
        text: the file; what does not parse gives places that are of no use, and no error.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int] = {}
        self.doubled: list[tuple[str, int]] = []
        """Keys that a map holds twice, as ``parameters[key]``, with the later line."""
        _Walk(text, self._lines, self.doubled).run()

    def line(self, field: str) -> int | None:
        """Where ``input[1].dims`` stands, or what is nearest around it; ``None``: nowhere."""
        parts = _DOT.split(field)
        while parts:
            path = ".".join(part if part.endswith("]") else f"{part}[0]" for part in parts)
            found = self._lines.get(path)
            if found is not None:
                return found
            parts.pop()
        return None

    def has(self, field: str) -> bool:
        """Whether a field is written at all, be it with its default."""
        return f"{field}[0]" in self._lines


class _Walk:
    """Goes through the tokens once, with the path of the message that it is in."""

    def __init__(self, text: str, lines: dict[str, int], doubled: list[tuple[str, int]]) -> None:
        self._tokens = _tokens(text)
        self._lines = lines
        self._doubled = doubled
        self._counts = Counter[str]()
        self._stack: list[tuple[str, str]] = []
        """Messages around: their path, and the field that goes on behind where in a list."""
        self._name = ""
        """The field whose value comes next; empty where a name comes next."""
        self._listed = False
        """Whether that value is a list in brackets."""

    def run(self) -> None:
        for kind, token, line in self._tokens:
            if kind == "mark":
                self._mark(token, line)
            elif self._name:
                self._value(token, line)
            elif kind == "word":
                self._name = f"{self._stack[-1][0]}.{token}" if self._stack else token

    def _mark(self, mark: str, line: int) -> None:
        if mark in _OPEN and self._name:
            path = self._place(self._name, line)
            self._stack.append((path, self._name if self._listed else ""))
            self._name, self._listed = "", False
        elif mark in _CLOSE and self._stack:
            _, self._name = self._stack.pop()
            self._listed = bool(self._name)
        elif mark == "[" and self._name:
            self._listed = True
            self._lines.setdefault(f"{self._name}[0]", line)
        elif mark == "]":
            self._name, self._listed = "", False
        elif mark in _SEPARATORS and not self._listed:
            self._name = ""

    def _value(self, token: str, line: int) -> None:
        self._place(self._name, line)
        if self._name.endswith("].key"):
            self._key(self._name.removesuffix(".key"), token.strip("\"'"), line)
        if not self._listed:
            self._name = ""

    def _place(self, name: str, line: int) -> str:
        path = f"{name}[{self._counts[name]}]"
        self._counts[name] += 1
        self._lines.setdefault(path, line)
        return path

    def _key(self, entry: str, key: str, line: int) -> None:
        """An entry of a map is found by its key as well."""
        path = f"{entry.rpartition('[')[0]}[{key}]"
        if path in self._lines:
            self._doubled.append((path, line))
        self._lines.setdefault(path, line)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "newline":
            line += 1
        elif kind != "skip":
            yield kind, match.group(), line
