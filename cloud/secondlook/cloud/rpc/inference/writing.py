"""From what an engine gave to a reply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secondlook.cloud.engine.asking import Inferred, Ran
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature
from secondlook.cloud.rpc.inference.bytes_tensor import joined
from secondlook.cloud.rpc.inference.varint import varint
from secondlook.oip import inference_pb2 as pb

# BF16 has the bits of UINT16, and only a signature tells them apart.
_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}

MAX_ALIKE = 64
"""Kinds of replies that are kept to be copied: made field by field, one costs three times more."""

Told = tuple[str, str, tuple[int, ...]]
"""What a reply says of an output beside its elements: name, datatype, shape."""

VARIANT = "variant"
REASON = "reason"

_ID = bytes([pb.ModelInferResponse.ID_FIELD_NUMBER << 3 | 2])
_RAW = bytes([pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | 2])
"""What the fields begin with: their number, and that a length follows."""


class Writer:
    """Writes replies of models of one signature; made once, used for each reply.

    Args:
        signature: what the model takes and gives.
    """

    def __init__(self, signature: Signature) -> None:
        self._datatypes = {spec.name: spec.dtype for spec in signature.outputs}
        self._alike: dict[tuple[object, ...], bytes] = {}

    def reply(
        self, request: pb.ModelInferRequest, inferred: Inferred, wanted: Sequence[str]
    ) -> pb.ModelInferResponse:
        """The reply to a request; outputs in the order in which they were asked for.

        Raises:
            TypeError: a BYTES output holds something else than bytes or text.
        """
        alike, raws = self._parts(request.model_name, inferred, wanted)
        reply = pb.ModelInferResponse.FromString(alike)
        reply.id = request.id
        reply.raw_output_contents.extend(raws)
        return reply

    def written(
        self, model: str, request_id: str, inferred: Inferred, wanted: Sequence[str]
    ) -> bytes:
        """The same as bytes, without a message: fields that follow each other are one.

        Raises:
            TypeError: see `reply`.
        """
        alike, raws = self._parts(model, inferred, wanted)
        parts = [alike]
        if request_id:
            told = request_id.encode()
            parts += (_ID, varint(len(told)), told)
        for raw in raws:
            parts += (_RAW, varint(len(raw)), raw)
        return b"".join(parts)

    def _parts(
        self, model: str, inferred: Inferred, wanted: Sequence[str]
    ) -> tuple[bytes, list[bytes]]:
        """What is alike in many replies, serialized; and the elements of each output."""
        ran, outputs, datatypes = inferred.ran, inferred.outputs, self._datatypes
        kinds: list[Told] = []
        raws: list[bytes] = []
        for name in wanted or outputs:
            array = outputs[name]
            # Another version than the one whose signature this is may have answered.
            datatype = datatypes.get(name) or _NAMES[array.dtype]
            kinds.append((name, datatype, array.shape))
            raws.append(to_raw(name, datatype, array))
        key = (model, ran.version, ran.variant, ran.reason, *kinds)
        alike = self._alike.get(key)
        if alike is None:
            if len(self._alike) >= MAX_ALIKE:
                self._alike.clear()
            alike = self._alike[key] = _empty(model, ran, kinds)
        return alike, raws


def _empty(model: str, ran: Ran, outputs: Sequence[Told]) -> bytes:
    """What replies have in common that differ in nothing but the id and the elements."""
    reply = pb.ModelInferResponse(model_name=model, model_version=ran.version)
    told(reply, ran)
    for name, datatype, shape in outputs:
        reply.outputs.add(name=name, datatype=datatype, shape=shape)
    return reply.SerializeToString()


def told(reply: pb.ModelInferResponse, ran: Ran) -> None:
    """Say which variant answered, and why where there was a choice."""
    if ran.variant:
        reply.parameters[VARIANT].string_param = ran.variant
    if ran.reason:
        reply.parameters[REASON].string_param = ran.reason


def to_raw(name: str, datatype: str, array: Array) -> bytes:
    """The elements of an output in row-major order, little-endian."""
    if datatype == "BYTES":
        return joined(name, np.ravel(array).tolist())
    return array.tobytes()
