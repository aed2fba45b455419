"""The Open Inference Protocol as a client speaks it, whether it blocks or awaits.

The two clients differ in how they wait, and in whose fault it is that a model is not there: see
`secondlook.cloud.backends.remote_client` and `secondlook.cloud.engine.remote.client`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc

from secondlook.cloud.engine.tensors import Array
from secondlook.cloud.rpc.inference.reading import from_contents, from_raw
from secondlook.cloud.rpc.inference.writing import to_raw
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidConfig,
    InvalidInput,
    ModelFailure,
    NotFound,
    Overloaded,
    PermissionDenied,
    SecondlookError,
    Unavailable,
)

MAX_MESSAGE_BYTES = 512 * 1024 * 1024
"""Of one call: 16 images of 1280 x 1280 as floats are 315 MB."""

MESSAGE_SIZES = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)
"""Options of a channel."""


class MissingMethod(PermissionDenied):
    """The server does not have this call."""


_ERRORS: Mapping[grpc.StatusCode, type[SecondlookError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    # It is us whom the server does not know, not whoever asks us.
    grpc.StatusCode.PERMISSION_DENIED: Unavailable,
    grpc.StatusCode.UNAUTHENTICATED: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: MissingMethod,
}


def error_of(code: grpc.StatusCode, who: str, details: str | None) -> SecondlookError:
    """What a status is to us; what a server should not answer at all is its failure.

    Args:
        code: the status.
        who: is asked.
        details: what the server says, cut short here.
    """
    return _ERRORS.get(code, ModelFailure)(f"{who}: {(details or code.name)[:300]}")


def request_of(
    model: str,
    version: str,
    inputs: Mapping[str, tuple[str, Array]],
    outputs: Sequence[str],
    request_id: str = "",
) -> pb.ModelInferRequest:
    """One inference, its tensors as raw contents.

    Args:
        model: its name there.
        version: its version there; empty: what the server chooses.
        inputs: datatype and tensor of each input.
        outputs: names of those wanted; empty: all.
        request_id: for who reads the logs of both sides.
    """
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, (datatype, array) in inputs.items():
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(to_raw(name, datatype, array))
    for name in outputs:
        request.outputs.add(name=name)
    return request


def outputs_of(reply: pb.ModelInferResponse, wanted: Sequence[str]) -> dict[str, Array]:
    """What a reply holds, of any server.

    Args:
        reply: its raw or its typed contents.
        wanted: names of the outputs that must be there.

    Returns:
        Those outputs, read only.

    Raises:
        ModelFailure: it cannot be read, or one of them is missing.
    """
    raws = reply.raw_output_contents
    if raws and len(raws) != len(reply.outputs):
        raise ModelFailure(f"answered {len(raws)} contents for {len(reply.outputs)} outputs")
    found: dict[str, Array] = {}
    for place, tensor in enumerate(reply.outputs):
        name, shape = tensor.name, tuple(tensor.shape)
        try:
            if raws:
                found[name] = from_raw(name, tensor.datatype, shape, raws[place])
            else:
                found[name] = from_contents(name, tensor.datatype, shape, tensor.contents)
        except (InvalidInput, KeyError) as error:
            raise ModelFailure(f"answered what cannot be read: {error}") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ModelFailure(f"did not answer output {missing[0]!r}")
    return {name: found[name] for name in wanted}


def read_authority(file: Path | None, where: str) -> bytes | None:
    """The certificates to trust; ``None``: the system's. Blocking.

    Args:
        file: a PEM file.
        where: it is named, for the message.

    Raises:
        InvalidConfig: it cannot be read.
    """
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidConfig(f"{where}: {file} cannot be read: {error.strerror}") from error
