"""From what an engine gave to a reply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secondlook.cloud.engine.asking import Inferred, Ran
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature
from secondlook.cloud.rpc.inference.bytes_tensor import joined
from secondlook.oip import inference_pb2 as pb

# BF16 has the bits of UINT16, and only a signature tells them apart.
_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}

VARIANT = "variant"
REASON = "reason"


class Writer:
    """Writes replies of models of one signature; made once, used for each reply.

    Args:
        signature: what the model takes and gives.
    """

    def __init__(self, signature: Signature) -> None:
        self._datatypes = {spec.name: spec.dtype for spec in signature.outputs}

    def reply(
        self, request: pb.ModelInferRequest, inferred: Inferred, wanted: Sequence[str]
    ) -> pb.ModelInferResponse:
        """The reply to a request; outputs in the order in which they were asked for.

        Raises:
            TypeError: a BYTES output holds something else than bytes or text.
        """
        reply = pb.ModelInferResponse(
            model_name=request.model_name, model_version=inferred.ran.version, id=request.id
        )
        told(reply, inferred.ran)
        add, append = reply.outputs.add, reply.raw_output_contents.append
        outputs, datatypes = inferred.outputs, self._datatypes
        for name in wanted or outputs:
            array = outputs[name]
            # Another version than the one whose signature this is may have answered.
            datatype = datatypes.get(name) or _NAMES[array.dtype]
            add(name=name, datatype=datatype, shape=array.shape)
            append(to_raw(name, datatype, array))
        return reply


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
