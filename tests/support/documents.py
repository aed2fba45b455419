"""Markdown as a thing under test: its links, its fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<label>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        file: where it is.
        line: number of its first line.
        language: the first word behind the fence.
        words: the other words.
        body: what it holds.
    """

    file: Path
    line: int
    language: str
    words: tuple[str, ...]
    body: str

    @property
    def id(self) -> str:
        """Name of a test about it."""
        return f"{self.file.name}:{self.line}"


def blocks(file: Path) -> Iterator[Block]:
    """The fenced blocks of a file."""
    text = file.read_text()
    for match in _FENCE.finditer(text):
        language, *words = match["label"].split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        yield Block(file, line, language, tuple(words), match["body"])


def links(file: Path) -> list[str]:
    """The targets of its links and images, those in fenced blocks apart."""
    return [match["target"] for match in _LINK.finditer(_FENCE.sub("", file.read_text()))]


def anchors(file: Path) -> set[str]:
    """What a link may point to behind ``#``, as GitHub makes it from headings."""
    found = set()
    for match in _HEADING.finditer(_FENCE.sub("", file.read_text())):
        title = re.sub(r"[^\w\- ]", "", match["title"].lower())
        found.add(title.replace(" ", "-"))
    return found


def code_words(file: Path) -> set[str]:
    """What stands in single backticks."""
    return set(re.findall(r"`([^`\n]+)`", _FENCE.sub("", file.read_text())))
