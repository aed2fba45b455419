"""Which metrics, labels and functions a PromQL query names. No parser: what our queries need."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FUNCTIONS = frozenset(
    {"rate", "increase", "histogram_quantile", "absent", "sum", "max", "min", "avg", "count"}
)
GROUPING = frozenset({"by", "without", "on", "ignoring"})
WORDS = frozenset({"and", "or", "unless", "bool", "offset", "group_left", "group_right"})

_TOKENS = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<text>"(?:[^"\\]|\\.)*")
  | (?P<duration>\[\s*\d+(?:ms|[smhdw])(?::\d*[smhdw]?)?\s*\])
  | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},])
    """,
    re.VERBOSE,
)


class Malformed(ValueError):
    """The query is no PromQL, or uses what this reader does not know."""


@dataclass(frozen=True)
class Selector:
    """One metric of a query, and the values that its labels must have."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@dataclass
class Query:
    """What a query names."""

    selectors: list[Selector] = field(default_factory=list)
    groupings: list[str] = field(default_factory=list)


def read(query: str) -> Query:
    """Take a query apart.

    Raises:
        Malformed: says where.
    """
    tokens = _tokens(query)
    found = Query()
    depth = 0
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
            if depth < 0:
                raise Malformed(f"one ) too many in {query}")
        elif kind == "name" and text in GROUPING:
            labels, place = _labels(tokens, place + 1, query)
            found.groupings += labels
            continue
        elif kind == "name" and text in FUNCTIONS and following in ("(", "by", "without"):
            pass
        elif kind == "name" and text not in WORDS:
            if following == "(":
                raise Malformed(f"{text} is no function that is known here, in {query}")
            matchers: tuple[tuple[str, str, str], ...] = ()
            if following == "{":
                matchers, place = _matchers(tokens, place + 1, query)
            else:
                place += 1
            found.selectors.append(Selector(text, matchers))
            continue
        elif text in ("{", "}"):
            raise Malformed(f"braces without a metric in {query}")
        place += 1
    if depth:
        raise Malformed(f"{depth} ) are missing in {query}")
    if not found.selectors:
        raise Malformed(f"no metric in {query}")
    return found


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(query):
        match = _TOKENS.match(query, at)
        if match is None:
            raise Malformed(f"{query[at : at + 20]!r} is not understood, in {query}")
        assert match.lastgroup is not None
        if match.lastgroup != "space":
            tokens.append((match.lastgroup, match.group()))
        at = match.end()
    return tokens


def _labels(tokens: list[tuple[str, str]], place: int, query: str) -> tuple[list[str], int]:
    """``(a, b)`` from ``place`` on; the labels, and the place behind."""
    labels = []
    if place >= len(tokens) or tokens[place][1] != "(":
        raise Malformed(f"( expected after a grouping in {query}")
    place += 1
    while place < len(tokens) and tokens[place][1] != ")":
        kind, text = tokens[place]
        if kind == "name":
            labels.append(text)
        elif text != ",":
            raise Malformed(f"{text} in a grouping of {query}")
        place += 1
    if place == len(tokens):
        raise Malformed(f"a grouping does not end in {query}")
    return labels, place + 1


def _matchers(
    tokens: list[tuple[str, str]], place: int, query: str
) -> tuple[tuple[tuple[str, str, str], ...], int]:
    """``{a="b"}`` from ``place`` on; label, sign and value of each, and the place behind."""
    matchers = []
    place += 1
    while place < len(tokens) and tokens[place][1] != "}":
        three = tokens[place : place + 3]
        if [kind for kind, _ in three] != ["name", "sign", "text"]:
            raise Malformed(f"a matcher of {query} is malformed")
        (_, label), (_, sign), (_, value) = three
        if sign not in ("=", "!=", "=~", "!~"):
            raise Malformed(f"{sign} in a matcher of {query}")
        matchers.append((label, sign, value[1:-1]))
        place += 3
        if place < len(tokens) and tokens[place][1] == ",":
            place += 1
    if place == len(tokens):
        raise Malformed(f"matchers do not end in {query}")
    return tuple(matchers), place + 1
