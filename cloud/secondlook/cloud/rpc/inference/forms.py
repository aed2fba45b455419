"""Requests that differ in nothing but elements are read once.

A client that asks the same model with tensors of the same shape sends the same bytes before the
elements. Taking such a message apart, field by field, costs more than many a small network; and
protobuf copies the elements twice on the way. Here what comes before them is compared, whole, with
what was read and answered before.

Why that is right: a message is a sequence of fields, in any order. Where the first part of the
bytes is a message by itself, and the rest is one field, both together are that message with that
field added (Protocol Buffers, "Encoding": concatenated messages are merged). Equal first parts are
equal messages, and the length of the field is in the part that is compared.
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

_TAG = bytes([pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2])


@dataclass(frozen=True, slots=True)
class Form:
    """What requests have in common, as it was read and found right.

    Attributes:
        model: the model that is asked.
        version: its version; empty where none is named.
        request_id: the caller's own.
        wishes: see `wishes`.
        outputs: names of the outputs that are wanted; all where empty.
        converter: what read it; another one now, and the model has changed.
        tensor: name of the one input.
        dtype: of its elements.
        shape: of it.
    """

    model: str
    version: str
    request_id: str
    wishes: Wishes
    outputs: tuple[str, ...]
    converter: Converter
    tensor: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Forms:
    """Those that are known. On the event loop only."""

    def __init__(self) -> None:
        self._known: dict[bytes, Form] = {}
        # Length of the first part, by the length of the whole.
        self._heads: dict[int, int] = {}
        self._seen: dict[int, bytes] = {}

    def of(self, raw: bytes) -> tuple[Form, Array] | None:
        """The form of a request, and its tensor, if need be a copy; ``None``: it is to be read."""
        head = self._heads.get(len(raw))
        if head is None:
            return None
        form = self._known.get(raw[:head])
        if form is None:
            return None
        array: Array = np.ndarray(form.shape, form.dtype, raw, head)
        # A message puts its fields anywhere; a network may count on numbers to be where they fit.
        return form, array if array.flags.aligned else array.copy()

    def learn(self, raw: bytes, request: pb.ModelInferRequest, form: Form) -> None:
        """A request was read and answered; from the second of a form on it is known.

        Args:
            raw: the request as it came.
            request: what it was parsed to, with one raw input of numbers.
            form: what was read in it.
        """
        content = request.raw_input_contents[0]
        head = len(raw) - len(content)
        if head > MAX_HEAD or not content:
            return
        first = raw[:head]
        if self._seen.get(len(raw)) != first:
            # Who numbers requests never asks twice alike: nothing is spent on those.
            if len(self._seen) >= MAX_FORMS:
                self._seen.clear()
            self._seen[len(raw)] = first
        elif _stands_alone(first, len(content)):
            if len(self._known) >= MAX_FORMS or len(self._heads) >= MAX_FORMS:
                self._known.clear()
                self._heads.clear()
            self._known[first], self._heads[len(raw)] = form, head

    def forget(self) -> None:
        """A model has changed: what was right for it may be no more."""
        self._known.clear()
        self._heads.clear()
        self._seen.clear()


def _stands_alone(first: bytes, length: int) -> bool:
    """Whether the bytes are a message without elements, and the beginning of their field."""
    begin = _TAG + varint(length)
    if not first.endswith(begin):
        return False
    try:
        request = pb.ModelInferRequest.FromString(first.removesuffix(begin))
    except DecodeError:
        return False
    return not request.raw_input_contents
