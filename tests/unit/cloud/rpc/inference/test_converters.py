"""From requests to tensors and back, without a wire."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secondlook.cloud.engine.asking import Inferred, Ran
from secondlook.cloud.engine.tensors import DTYPES, Signature, TensorSpec
from secondlook.cloud.rpc.inference.bytes_tensor import joined, split
from secondlook.cloud.rpc.inference.reading import (
    MAX_SIZES,
    TYPED,
    Reader,
    from_contents,
    from_raw,
)
from secondlook.cloud.rpc.inference.writing import MAX_ALIKE, Writer
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidInput

SIGNATURE = Signature(
    (TensorSpec("a", "FP32", (2,)), TensorSpec("b", "BYTES", (-1,))),
    (TensorSpec("y", "FP32", (2,)), TensorSpec("z", "BF16", (-1,))),
    max_batch=0,
)
A = np.array([1.5, -2.5], np.float32)


def request(**fields: Any) -> pb.ModelInferRequest:
    asked = pb.ModelInferRequest(model_name="m", id="7", **fields)
    asked.inputs.add(name="a", datatype="FP32", shape=[2])
    asked.inputs.add(name="b", datatype="BYTES", shape=[2])
    asked.raw_input_contents.extend([A.tobytes(), joined("b", [b"x", b""])])
    return asked


def test_raw_numbers_are_views_on_the_bytes_that_came() -> None:
    raw = A.tobytes()
    array = from_raw("a", "FP32", (2,), raw)
    assert not array.flags.owndata
    assert not array.flags.writeable
    assert array.__array_interface__["data"][0] == np.frombuffer(raw, np.uint8).ctypes.data


def test_a_request_becomes_its_tensors() -> None:
    tensors = Reader(SIGNATURE).tensors(request())
    assert list(tensors) == ["a", "b"]
    np.testing.assert_array_equal(tensors["a"], A)
    assert tensors["b"].tolist() == [b"x", b""]


def test_a_shape_that_was_fine_is_read_alike_and_believed_no_more() -> None:
    reader = Reader(SIGNATURE)
    first, again = request(), request()
    again.raw_input_contents[0] = (A * 2).tobytes()
    reader.tensors(first)
    array = reader.tensors(again)["a"]
    np.testing.assert_array_equal(array, A * 2)
    assert array.dtype == np.float32
    assert not array.flags.writeable
    for raw in (A.tobytes()[:-4], A.tobytes() + b"0000"):
        again.raw_input_contents[0] = raw
        with pytest.raises(InvalidInput, match="bytes"):
            reader.tensors(again)


def test_as_many_shapes_as_callers_like_are_read() -> None:
    reader = Reader(Signature((TensorSpec("x", "UINT8", (-1,)),), (), 0))
    for length in (*range(1, 3 * MAX_SIZES), 1):
        asked = pb.ModelInferRequest(raw_input_contents=[bytes([7] * length)])
        asked.inputs.add(name="x", datatype="UINT8", shape=[length])
        assert reader.tensors(asked)["x"].tolist() == [7] * length


def test_typed_contents_become_the_same() -> None:
    asked = request()
    del asked.raw_input_contents[:]
    asked.inputs[0].contents.fp32_contents.extend(A.tolist())
    asked.inputs[1].contents.bytes_contents.extend([b"x", b""])
    tensors = Reader(SIGNATURE).tensors(asked)
    np.testing.assert_array_equal(tensors["a"], A)
    assert tensors["a"].dtype == np.float32
    assert tensors["b"].tolist() == [b"x", b""]


def test_booleans_are_zero_or_one_whatever_came() -> None:
    array = from_raw("a", "BOOL", (3,), bytes([0, 1, 7]))
    assert array.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0, 2)])
@pytest.mark.parametrize("datatype", list(DTYPES))
def test_empty_tensors_are_tensors(datatype: str, shape: tuple[int, ...]) -> None:
    array = from_raw("a", datatype, shape, b"")
    assert array.shape == shape
    assert array.dtype == DTYPES[datatype]
    if datatype in TYPED:
        assert from_contents("a", datatype, shape, pb.InferTensorContents()).shape == shape


HUGE = 2**62
BAD_RAW = {
    "too few bytes": ("FP32", (2,), b"1234567", "has 7 bytes"),
    "too many bytes": ("FP32", (2,), b"123456789", "has 9 bytes"),
    "none at all": ("INT64", (1,), b"", "has 0 bytes"),
    "a negative axis": ("FP32", (-1, 2), b"", "-1 cannot be"),
    "an absurd axis": ("FP32", (2**40,), b"1234", "has 4 bytes"),
    "axes whose product overflows": ("FP32", (HUGE, HUGE), b"", "cannot be"),
    "an overflow to nothing": ("UINT8", (2**32, 2**32), b"", "has 0 bytes"),
    "an empty tensor that numpy cannot hold": ("FP32", (0, 2**47, 2**47), b"", "cannot be"),
    "very many axes": ("FP32", (1,) * 1000, b"1234", "1000 axes"),
    "absurdly many strings": ("BYTES", (2**40,), b"\0" * 40, "too few for"),
    "a length cut short": ("BYTES", (1,), b"\1\0\0", "too few for"),
    "a later length cut short": ("BYTES", (2,), b"\4\0\0\0abcd\1", "length of element 1 is cut"),
    "an element cut short": ("BYTES", (1,), b"\5\0\0\0abcd", "element 0 says 5 bytes; 4 are left"),
    "an element of four gigabytes": ("BYTES", (1,), b"\xff\xff\xff\xffabcd", "says 4294967295"),
    "too many elements": ("BYTES", (1,), b"\0\0\0\0\0\0\0\0", "more than 1 elements"),
    "too few elements": ("BYTES", (2,), b"\4\0\0\0abcd", "has 1 elements; 2 expected"),
}


@pytest.mark.parametrize(("datatype", "shape", "raw", "why"), BAD_RAW.values(), ids=BAD_RAW)
def test_raw_contents_that_lie_are_refused(
    datatype: str, shape: tuple[int, ...], raw: bytes, why: str
) -> None:
    with pytest.raises(InvalidInput, match="input 'a'") as caught:
        from_raw("a", datatype, shape, raw)
    assert why in caught.value.message


Contents = pb.InferTensorContents
BAD_CONTENTS = {
    "in the field of another type": ("FP32", (1,), Contents(fp64_contents=[1]), "fp32_contents"),
    "in two fields": ("FP32", (1,), Contents(fp32_contents=[1], int_contents=[1]), "fp32_contents"),
    "too few": ("INT32", (3,), Contents(int_contents=[1]), "has 1 elements"),
    "none": ("INT32", (3,), Contents(), "has 0 elements"),
    "too large": ("INT8", (1,), Contents(int_contents=[128]), "holds 128 to 128"),
    "too small": ("INT16", (2,), Contents(int_contents=[0, -40000]), "holds -40000 to 0"),
    "too large, unsigned": ("UINT8", (1,), Contents(uint_contents=[256]), "UINT8 goes from 0"),
    "of a type without a field": ("FP16", (1,), Contents(fp32_contents=[1]), "raw_input_contents"),
    "of an absurd shape": ("UINT8", (2**40,), Contents(uint_contents=[1]), "has 1 elements"),
}


@pytest.mark.parametrize(
    ("datatype", "shape", "contents", "why"), BAD_CONTENTS.values(), ids=BAD_CONTENTS
)
def test_typed_contents_that_lie_are_refused(
    datatype: str, shape: tuple[int, ...], contents: pb.InferTensorContents, why: str
) -> None:
    with pytest.raises(InvalidInput, match="input 'a'") as caught:
        from_contents("a", datatype, shape, contents)
    assert why in caught.value.message


def _renamed(asked: pb.ModelInferRequest) -> None:
    asked.inputs[0].name = "q" * 5000


def _doubled(asked: pb.ModelInferRequest) -> None:
    asked.inputs[1].CopyFrom(asked.inputs[0])


def _retyped(asked: pb.ModelInferRequest) -> None:
    asked.inputs[0].datatype = "INT32"


def _one_raw(asked: pb.ModelInferRequest) -> None:
    del asked.raw_input_contents[1:]


def _mixed(asked: pb.ModelInferRequest) -> None:
    asked.inputs[0].contents.fp32_contents.extend([1, 2])


def _very_many(asked: pb.ModelInferRequest) -> None:
    for place in range(10_000):
        asked.inputs.add(name=f"i{place}", datatype="FP32", shape=[2])


def _shared(asked: pb.ModelInferRequest) -> None:
    asked.inputs[0].parameters["shared_memory_region"].string_param = "r"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_renamed, "unexpected input"),
        (_doubled, "there twice"),
        (_retyped, "'INT32'; FP32 expected"),
        (_one_raw, "1 raw_input_contents for 2 inputs"),
        (_mixed, "one of both expected"),
        (_very_many, "10002 inputs"),
        (_shared, "shared memory is not offered"),
    ],
)
def test_requests_that_cannot_be_are_refused(spoil: Any, why: str) -> None:
    asked = request()
    spoil(asked)
    with pytest.raises(InvalidInput) as caught:
        Reader(SIGNATURE).tensors(asked)
    assert why in caught.value.message
    assert len(caught.value.message) < 300


def test_outputs_are_chosen_by_name() -> None:
    asked = request()
    assert Reader(SIGNATURE).outputs(asked) == ()
    asked.outputs.add(name="z")
    assert Reader(SIGNATURE).outputs(asked) == ("z",)


@pytest.mark.parametrize(
    ("names", "why"),
    [(["q"], "no output is named 'q'"), (["y", "y"], "twice"), (["y", "z", "y"], "3 outputs")],
)
def test_outputs_that_are_not_there_are_refused(names: list[str], why: str) -> None:
    asked = request()
    for name in names:
        asked.outputs.add(name=name)
    with pytest.raises(InvalidInput, match=why):
        Reader(SIGNATURE).outputs(asked)


def test_classification_is_refused_by_name() -> None:
    asked = request()
    asked.outputs.add(name="y").parameters["classification"].int64_param = 3
    with pytest.raises(InvalidInput, match="classification is not offered"):
        Reader(SIGNATURE).outputs(asked)


def test_a_reply_says_who_answered_and_why() -> None:
    given = {"y": A, "z": np.array([1, 2], np.uint16)}
    ran = Ran("m", "4", "int8", reason="latency over its objective")
    reply = Writer(SIGNATURE).reply(request(), Inferred(given, ran), ())
    assert (reply.model_name, reply.model_version, reply.id) == ("m", "4", "7")
    assert reply.parameters["variant"].string_param == "int8"
    assert reply.parameters["reason"].string_param == "latency over its objective"
    assert [(o.name, o.datatype, list(o.shape)) for o in reply.outputs] == [
        ("y", "FP32", [2]),
        ("z", "BF16", [2]),
    ]
    assert list(reply.raw_output_contents) == [A.tobytes(), b"\1\0\2\0"]


def test_a_reply_keeps_the_order_that_was_asked_for_and_makes_rows_contiguous() -> None:
    given = {"y": np.array([[1, 2], [3, 4]], np.float32).T, "z": np.array([1], np.uint16)}
    reply = Writer(SIGNATURE).reply(request(), Inferred(given, Ran("m", "1")), ("z", "y"))
    assert [o.name for o in reply.outputs] == ["z", "y"]
    assert np.frombuffer(reply.raw_output_contents[1], np.float32).tolist() == [1, 3, 2, 4]
    assert not reply.parameters


def test_outputs_of_another_version_are_told_by_their_numbers() -> None:
    given = {"new": np.array([1], np.int64)}
    reply = Writer(SIGNATURE).reply(request(), Inferred(given, Ran("m", "9")), ())
    assert [(o.name, o.datatype) for o in reply.outputs] == [("new", "INT64")]


def test_text_goes_out_as_utf_8_and_numbers_do_not() -> None:
    assert split("a", joined("a", ["ä", b"b"]), 2) == ["ä".encode(), b"b"]
    with pytest.raises(TypeError, match="output 'a' holds a int"):
        joined("a", [1])


def test_replies_that_are_alike_share_nothing_that_differs() -> None:
    writer = Writer(SIGNATURE)
    for number in (*range(3 * MAX_ALIKE), 0):
        asked = pb.ModelInferRequest(model_name="m" * (1 + number % 2), id=str(number))
        z = np.arange(number, dtype=np.uint16)
        ran = Ran("m", str(number % 3), "int8", reason="why" * (number % 2))
        reply = writer.reply(asked, Inferred({"y": A * number, "z": z}, ran), ())
        assert (reply.id, reply.model_name) == (asked.id, asked.model_name)
        assert reply.model_version == ran.version
        assert reply.parameters["variant"].string_param == "int8"
        assert ("reason" in reply.parameters) == bool(number % 2)
        assert [list(output.shape) for output in reply.outputs] == [[2], [number]]
        assert [output.datatype for output in reply.outputs] == ["FP32", "BF16"]
        assert list(reply.raw_output_contents) == [(A * number).tobytes(), z.tobytes()]
