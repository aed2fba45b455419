"""What is known of a request is what reading it would say, or nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.internal import encoder
from hypothesis import given
from hypothesis import strategies as st
from support.inference import FakeEngine, identity, inference_stub

from secondlook.cloud.engine.asking import Inferred, Ran
from secondlook.cloud.engine.tensors import Array, Signature, TensorSpec
from secondlook.cloud.rpc.inference.converters import Converter
from secondlook.cloud.rpc.inference.forms import MAX_FORMS, MAX_HEAD, Form, Forms
from secondlook.cloud.rpc.inference.varint import varint
from secondlook.cloud.rpc.inference.wishes import NONE
from secondlook.oip import inference_pb2 as pb

CONVERTER = Converter.of(identity("FP32"))


def asked(array: Array, request_id: str = "", model: str = "m", dtype: str = "FP32") -> bytes:
    request = pb.ModelInferRequest(model_name=model, id=request_id)
    request.inputs.add(name="x", datatype=dtype, shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    return request.SerializeToString()


def learn(forms: Forms, raw: bytes, array: Array) -> None:
    request = pb.ModelInferRequest.FromString(raw)
    form = Form(*(request.model_name, "", NONE, (), CONVERTER, "x", array.dtype, array.shape))
    forms.learn(raw, request, form)


def ones(length: int) -> Array:
    return np.ones(length, np.float32)


def test_the_third_of_a_form_is_known_and_its_numbers_are_its_own() -> None:
    forms = Forms()
    for _ in range(2):
        assert forms.of(asked(ones(5), "same")) is None
        learn(forms, asked(ones(5), "same"), ones(5))
    other = np.arange(5, dtype=np.float32)
    known = forms.of(asked(other, "same"))
    assert known is not None
    form, request_id, array = known
    assert (form.model, request_id, form.tensor) == ("m", "same", "x")
    assert array.tolist() == other.tolist()
    assert array.flags.aligned
    also = forms.of(asked(other, "also"))
    assert also is not None
    assert also[1] == "also"
    assert forms.of(asked(other, "longer")) is None
    assert forms.of(asked(other, "same").replace(b"same", b"sam\xff")) is None
    assert forms.of(asked(other, "same", "n")) is None
    assert forms.of(asked(ones(6), "same")) is None
    forms.forget()
    assert forms.of(asked(other, "same")) is None


def test_ids_of_one_length_are_of_one_form() -> None:
    forms = Forms()
    for number in range(10, 20):
        raw = asked(ones(5), str(number))
        known = forms.of(raw)
        assert (known is not None) == (number > 11)
        assert known is None or known[1] == str(number)
        learn(forms, raw, ones(5))


@pytest.mark.parametrize("request_id", ["m", "x", "FP32", "0", "00", "111", "mm", "\x05", "ä"])
def test_an_id_that_looks_like_something_else_is_no_other(request_id: str) -> None:
    forms = Forms()
    for _ in range(2):
        learn(forms, asked(ones(5), request_id), ones(5))
    length = len(request_id.encode())
    for other in (request_id, "z" * length):
        known = forms.of(asked(ones(5), other))
        assert known is not None
        assert (known[0].model, known[0].tensor, known[1]) == ("m", "x", other)


def test_an_id_that_counts_no_more_is_not_taken_for_the_one_that_does() -> None:
    forms, array = Forms(), ones(5)
    raw = b"\x1a\x02ab" + b"\x1a\x02ab" + asked(array)
    for _ in range(3):
        learn(forms, raw, array)
    assert forms.of(raw) is None


def test_a_first_part_that_is_long_is_not_kept() -> None:
    forms = Forms()
    raw = asked(ones(5), "i" * MAX_HEAD)
    for _ in range(3):
        learn(forms, raw, ones(5))
    assert forms.of(raw) is None


def test_what_is_kept_is_bounded() -> None:
    forms = Forms()
    for length in range(1, 3 * MAX_FORMS):
        for _ in range(2):
            learn(forms, asked(ones(length)), ones(length))
    known = [forms.of(asked(ones(length))) is not None for length in range(1, 3 * MAX_FORMS)]
    assert known[-1]
    assert sum(known) <= MAX_FORMS


def unknown_field(payload: bytes) -> bytes:
    return varint(1000 << 3 | 2) + varint(len(payload)) + payload


@pytest.mark.parametrize("deep", [False, True])
def test_bytes_that_only_look_like_the_elements_are_not_taken_for_them(*, deep: bool) -> None:
    array = ones(5)
    elements = array.tobytes()
    disguise = b"\x3a" + varint(len(elements)) + elements
    raw = asked(array) + (unknown_field(disguise) if deep else unknown_field(elements))
    forms = Forms()
    for _ in range(3):
        learn(forms, raw, array)
    assert forms.of(raw) is None


@given(st.data())
def test_what_is_known_of_mangled_bytes_is_what_they_say(data: st.DataObject) -> None:
    forms, raw = Forms(), asked(ones(5), "id")
    for _ in range(2):
        learn(forms, raw, ones(5))
    mangled = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mangled) - 1))
        mangled[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(-3, 3))
    given = bytes(mangled[:cut] if cut < 0 else mangled + mangled[:cut])
    known = forms.of(given)
    if known is not None:
        form, request_id, array = known
        request = pb.ModelInferRequest.FromString(given)
        assert (request.model_name, request.id) == (form.model, request_id)
        assert [tensor.name for tensor in request.inputs] == [form.tensor]
        assert tuple(request.inputs[0].shape) == form.shape
        assert list(request.raw_input_contents) == [array.tobytes()]


@given(st.integers(0, 2**64))
def test_lengths_are_written_as_protobuf_writes_them(number: int) -> None:
    assert varint(number) == encoder._VarintBytes(number)


@given(
    st.text(max_size=200),
    st.text(max_size=200),
    st.lists(st.binary(max_size=300).filter(lambda raw: len(raw) % 4 == 0), max_size=3),
    st.text(max_size=20),
)
def test_a_reply_in_bytes_is_the_reply(
    model: str, request_id: str, contents: list[bytes], reason: str
) -> None:
    outputs = {f"y{n}": np.frombuffer(raw, np.float32) for n, raw in enumerate(contents)}
    signature = Signature((), tuple(TensorSpec(name, "FP32", (-1,)) for name in outputs), 0)
    writer = Converter.of(signature).writer
    inferred = Inferred(outputs, Ran("m", "3", "int8", reason=reason))
    request = pb.ModelInferRequest(model_name=model, id=request_id)
    for _ in range(2):
        written = writer.written(model, request_id, inferred, ())
        assert pb.ModelInferResponse.FromString(written) == writer.reply(request, inferred, ())


@pytest.mark.anyio
@pytest.mark.parametrize("dtype", ["FP32", "INT64", "UINT8", "BOOL", "FP16", "BF16"])
async def test_many_of_a_form_are_each_answered_for_themselves(dtype: str) -> None:
    numbers = {"BF16": np.uint16, "FP16": np.float16, "BOOL": np.bool_}.get(dtype)
    kind = np.dtype(numbers or dtype.replace("FP", "float").lower())
    async with inference_stub(FakeEngine()) as stub:
        for turn in range(6):
            array = np.arange(turn, turn + 7).astype(kind)
            raw = asked(array, "x" * (turn % 2), f"identity_{dtype}", dtype)
            reply = await stub.ModelInfer(pb.ModelInferRequest.FromString(raw))
            assert reply.id == "x" * (turn % 2)
            assert reply.raw_output_contents[0] == array.tobytes()


@pytest.mark.anyio
async def test_a_model_that_has_changed_is_read_anew() -> None:
    engine = FakeEngine()
    async with inference_stub(engine) as stub:
        request = pb.ModelInferRequest.FromString(asked(ones(5), "", "identity_FP32"))
        for _ in range(3):
            assert (await stub.ModelInfer(request)).outputs[0].name == "y"
        changed = Signature(
            (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("z", "FP32", (-1,)),), max_batch=0
        )
        engine.signatures["identity_FP32"] = changed
        for _ in range(3):
            assert (await stub.ModelInfer(request)).outputs[0].name == "z"
