"""Tensors survive the wire of the Open Inference Protocol, bit by bit; noise never crashes."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.inference import identity

from secondlook.cloud.engine.asking import Inferred, Ran
from secondlook.cloud.engine.tensors import DTYPES, Array
from secondlook.cloud.rpc.inference.reading import Reader, from_raw
from secondlook.cloud.rpc.inference.writing import Writer, to_raw
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidInput

DATATYPES = st.sampled_from(list(DTYPES))
SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Array]:
    """A tensor of any datatype and shape, of any bits."""
    datatype, shape = draw(DATATYPES), draw(SHAPES)
    count = prod(shape)
    if datatype == "BYTES":
        array: Array = np.empty(count, np.object_)
        array[:] = draw(st.lists(st.binary(max_size=20), min_size=count, max_size=count))
        return datatype, array.reshape(shape)
    dtype = DTYPES[datatype]
    if datatype == "BOOL":
        bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        return datatype, np.array(bits, dtype).reshape(shape)
    size = count * dtype.itemsize
    raw = draw(st.binary(min_size=size, max_size=size))
    return datatype, np.frombuffer(raw, dtype).reshape(shape)


def same(one: Array, other: Array) -> bool:
    if one.dtype == np.object_:
        return one.shape == other.shape and one.tolist() == other.tolist()
    # NaN, and which NaN it is, must survive too.
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


@given(tensors())
def test_every_tensor_comes_back_as_it_went(tensor: tuple[str, Array]) -> None:
    datatype, array = tensor
    signature = identity(datatype, array.ndim)
    asked = pb.ModelInferRequest(model_name="m", raw_input_contents=[to_raw("x", datatype, array)])
    asked.inputs.add(name="x", datatype=datatype, shape=array.shape)
    there = Reader(signature).tensors(pb.ModelInferRequest.FromString(asked.SerializeToString()))
    assert same(there["x"], array)
    signature.rows(there)
    reply = Writer(signature).reply(asked, Inferred({"y": there["x"]}, Ran("m", "1")), ())
    reply = pb.ModelInferResponse.FromString(reply.SerializeToString())
    (output,) = reply.outputs
    assert output.datatype == datatype
    assert same(
        from_raw("y", output.datatype, tuple(output.shape), reply.raw_output_contents[0]), array
    )


@given(
    DATATYPES,
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 9), max_size=40).map(tuple),
    st.binary(max_size=64),
)
def test_noise_is_a_tensor_or_refused(datatype: str, shape: tuple[int, ...], raw: bytes) -> None:
    try:
        array = from_raw("x", datatype, shape, raw)
    except InvalidInput:
        return
    assert array.shape == shape
    assert array.dtype == DTYPES[datatype]


@given(st.binary(max_size=200))
def test_noise_as_a_message_is_refused_or_read(raw: bytes) -> None:
    try:
        asked = pb.ModelInferRequest.FromString(raw)
    except Exception:  # noqa: BLE001 - protobuf's own refusal; the strict server answers it
        return
    try:
        Reader(identity("FP32")).tensors(asked)
    except InvalidInput:
        return
