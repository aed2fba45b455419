"""Class lists: read from a model's metadata or a text file, checked, never trusted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from secondlook.shared.errors import InvalidModel

MAX_CLASSES = 20_000
"""Larger than any published vocabulary (LVIS 1203, ImageNet-21k's 21 841 aside)."""

MAX_NAME_CHARS = 200
MAX_TEXT_CHARS = 1_000_000

_COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
    "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,"
    "baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,"
    "fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,"
    "cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,"
    "hair drier,toothbrush"
)
COCO = tuple(_COCO.split(","))
"""The 80 classes of COCO, in the order that detectors use."""

_STRING = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
# One level of brackets, nothing but whole numbers and strings inside: what literal_eval then sees
# cannot nest, so it can neither overflow the parser's stack nor build anything large.
_FLAT_LITERAL = re.compile(
    rf"\s*[\[({{]\s*(?:(?:\d{{1,6}}\s*:\s*)?{_STRING}\s*(?:,\s*)?)*[\])}}]\s*", re.DOTALL
)


def parse_names(text: str, where: str) -> tuple[str, ...]:
    """Read a class list from text that anyone may have written.

    Args:
        text: ``coco``, or a Python or JSON literal: ``{0: 'person', 1: 'car'}``, ``["person"]``.
        where: what the text is, for the error message ("metadata 'names' of x.onnx").

    Raises:
        InvalidModel: not such a literal, too long, or not a class list (see `check_names`).
    """
    if text.strip().lower() == "coco":
        return COCO
    expected = "a list of strings, {0: 'first', 1: 'second', ...} or \"coco\" is expected"
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidModel(f"{where} is {len(text)} characters long; {expected}")
    if not _FLAT_LITERAL.fullmatch(text):
        raise InvalidModel(f"{where} is not a class list: {text[:60]!r}; {expected}")
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InvalidModel(f"{where} is not a class list: {text[:60]!r}; {expected}") from error
    if isinstance(value, dict):
        if sorted(value) != list(range(len(value))):
            raise InvalidModel(f"{where}: the keys must be 0 to {len(value) - 1}, each once")
        value = [value[i] for i in range(len(value))]
    if not isinstance(value, list | tuple):
        raise InvalidModel(f"{where} is a {type(value).__name__}; {expected}")
    return check_names(value, where)


def check_names(names: Iterable[object], where: str) -> tuple[str, ...]:
    """Return the class list, if it is one.

    Raises:
        InvalidModel: empty, too long, or a name that is not a printable string or comes twice.
    """
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if index >= MAX_CLASSES:
            raise InvalidModel(f"{where} has more than {MAX_CLASSES} classes")
        if not isinstance(name, str) or not name.strip():
            raise InvalidModel(f"{where}: class {index} is {name!r:.60}; a name is expected")
        if len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise InvalidModel(
                f"{where}: class {index} is {name[:60]!r}; at most {MAX_NAME_CHARS} printable "
                "characters are expected"
            )
        if name in seen:
            raise InvalidModel(f"{where}: classes {seen[name]} and {index} are both {name!r}")
        seen[name] = index
    if not seen:
        raise InvalidModel(f"{where} is empty; at least one class is needed")
    return tuple(seen)
