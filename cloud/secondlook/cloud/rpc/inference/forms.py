"""Requests that differ in nothing but their elements and their id are read once.

A client that asks the same model with tensors of the same shape sends the same bytes before the
elements, but for the id of the request. Taking such a message apart, field by field, costs more
than many a small network; and protobuf copies the elements twice on the way. Here what comes before
them is compared, whole, with what was read and answered before.

Why that is right: a message is a sequence of fields, in any order. Where the first part of the
bytes is a message by itself, and the rest is one field, both together are that message with that
field added (Protocol Buffers, "Encoding": concatenated messages are merged). Equal first parts are
equal messages, and the length of the field is in the part that is compared. Of the bytes that are
not compared it was tried out, once for each form, that they are the id and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from secondlook.cloud.engine.tensors import Array
from secondlook.cloud.rpc.inference.converters import Converter
from secondlook.cloud.rpc.inference.varint import varint
from secondlook.cloud.rpc.inference.wishes import Wishes
from secondlook.oip import inference_pb2 as pb

MAX_FORMS = 64
"""Forms that are kept."""

MAX_HEAD = 1024
"""Longest first part that is kept, bytes."""

_ID = bytes([pb.ModelInferRequest.ID_FIELD_NUMBER << 3 | 2])
_ELEMENTS = bytes([pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2])
"""What the fields begin with: their number, and that a length follows."""


@dataclass(frozen=True, slots=True)
class Form:
    """What requests have in common, as it was read and found right.

    Attributes:
        model: the model that is asked.
        version: its version; empty where none is named.
        wishes: see `wishes`.
        outputs: names of the outputs that are wanted; all where empty.
        converter: what read it; another one now, and the model has changed.
        tensor: name of the one input.
        dtype: of its elements.
        shape: of it.
    """

    model: str
    version: str
    wishes: Wishes
    outputs: tuple[str, ...]
    converter: Converter
    tensor: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


Key = tuple[bytes, bytes]
"""What comes before the elements, without the id."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are: the id from ``start`` to ``end``, the elements from ``head`` on."""

    start: int
    end: int
    head: int

    def key(self, raw: bytes) -> Key:
        return raw[: self.start], raw[self.end : self.head]


class Forms:
    """Those that are known. On the event loop only."""

    def __init__(self) -> None:
        self._known: dict[Key, Form] = {}
        # Both by the length of the whole.
        self._layouts: dict[int, _Layout] = {}
        self._seen: dict[int, Key] = {}

    def of(self, raw: bytes) -> tuple[Form, str, Array] | None:
        """The form of a request, its id, and its tensor, if need be a copy; ``None``: read it."""
        layout = self._layouts.get(len(raw))
        if layout is None:
            return None
        form = self._known.get(layout.key(raw))
        if form is None:
            return None
        try:
            request_id = raw[layout.start : layout.end].decode()
        except UnicodeDecodeError:
            return None
        array: Array = np.ndarray(form.shape, form.dtype, raw, layout.head)
        # A message puts its fields anywhere; a network may count on numbers to be where they fit.
        return form, request_id, array if array.flags.aligned else array.copy()

    def learn(self, raw: bytes, request: pb.ModelInferRequest, form: Form) -> None:
        """A request was read and answered; from the second of a form on it is known.

        Args:
            raw: the request as it came.
            request: what it was parsed to, with one raw input of numbers.
            form: what was read in it.
        """
        content = request.raw_input_contents[0]
        layout = _layout(raw, request.id.encode(), len(content))
        if layout is None or layout.head > MAX_HEAD or not content:
            return
        key = layout.key(raw)
        if self._seen.get(len(raw)) != key:
            # Who never asks twice alike: nothing more is spent on those.
            if len(self._seen) >= MAX_FORMS:
                self._seen.clear()
            self._seen[len(raw)] = key
        elif _holds(raw, layout, len(content)):
            if len(self._known) >= MAX_FORMS or len(self._layouts) >= MAX_FORMS:
                self._known.clear()
                self._layouts.clear()
            self._known[key], self._layouts[len(raw)] = form, layout

    def forget(self) -> None:
        """A model has changed: what was right for it may be no more."""
        self._known.clear()
        self._layouts.clear()
        self._seen.clear()


def _layout(raw: bytes, request_id: bytes, length: int) -> _Layout | None:
    """Where id and elements seem to be; see `_holds`."""
    head = len(raw) - length
    if not request_id:
        return _Layout(0, 0, head)
    begin = _ID + varint(len(request_id)) + request_id
    place = raw.find(begin, 0, head)
    if place < 0:
        return None
    end = place + len(begin)
    return _Layout(end - len(request_id), end, head)


def _holds(raw: bytes, layout: _Layout, length: int) -> bool:
    """Whether the first part is a message, then the elements' field begins, and the id is the id.

    Another id of the same length has to give the same message with that id.
    """
    before, after = layout.key(raw)
    begin = _ELEMENTS + varint(length)
    if not after.endswith(begin):
        return False
    after = after.removesuffix(begin)
    here = raw[layout.start : layout.end]
    other = (b"1" if here.startswith(b"0") else b"0") * len(here)
    try:
        request = pb.ModelInferRequest.FromString(before + here + after)
        changed = pb.ModelInferRequest.FromString(before + other + after)
    except DecodeError:
        return False
    request.id = other.decode()
    return not request.raw_input_contents and request == changed
