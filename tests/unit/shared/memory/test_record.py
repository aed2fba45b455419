from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.record import MAX_DATA_BYTES, MAX_DEPTH, decode, encode, settled


def test_documents_come_back_as_they_were() -> None:
    document = {"b": [1, 1.0, True, None, "ü"], "a": {"deep": {"x": -0.0}}}
    raw = encode(document)
    assert raw == '{"a":{"deep":{"x":-0.0}},"b":[1,1.0,true,null,"ü"]}'.encode()
    assert str(decode(raw)) == str({"a": {"deep": {"x": -0.0}}, "b": [1, 1.0, True, None, "ü"]})


def test_any_mapping_is_an_object() -> None:
    assert encode(MappingProxyType({"a": MappingProxyType({"b": (1,)})})) == b'{"a":{"b":[1]}}'


def test_a_list_that_holds_itself_is_too_deep() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(InvalidInput, match="deeper than"):
        encode({"x": cycle})


def test_a_few_lists_that_hold_one_another_many_times_are_too_many_values() -> None:
    """Ten lists, 10^14 values: refused before they are all looked at."""
    value: Any = "x"
    for _ in range(MAX_DEPTH - 2):
        value = [value] * 10
    with pytest.raises(InvalidInput, match="values"):
        encode({"x": value})
    with pytest.raises(InvalidInput, match="values"):
        encode({"x": {str(n): [0] * 1000 for n in range(100)}})


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**5000, id="5000 digits"),
        b"bytes",
        object(),
        {1: 2},
        {None: 1},
        float("inf"),
        {1},
        pytest.param("\ud800", id="half a surrogate pair"),
        1j,
    ],
)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda v: {"y": v}])
def test_what_json_does_not_have_is_refused(value: Any, wrap: Any) -> None:
    with pytest.raises(InvalidInput):
        encode({"x": wrap(value)})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[1]",
        b"1",
        b'{"x":NaN}',
        b'{"x":1e999}',
        b'{"x":[-1E+0400]}',
        b'{"x":-Infinity}',
        pytest.param(b'{"x":' + b"9" * 310 + b".0}", id="310 digits"),
        pytest.param(b'{"x":' + b"9" * 250 + b"e99}", id="250 digits and an exponent"),
        pytest.param(b'{"x":' + b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH + b"}", id="too deep"),
        pytest.param(b'{"x":' + b'{"x":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH + b"}", id="deep"),
        pytest.param(b'{"x":' + b"9" * 5000 + b"}", id="5000 digits"),
        pytest.param(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", id="5000 levels"),
        b'{"x":"\xff"}',
        pytest.param(b'{"x":"' + b"y" * MAX_DATA_BYTES + b'"}', id="too large"),
    ],
)
def test_bytes_that_are_no_document_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"x":' + b"9" * 199 + b"e99}", id="199 digits and an exponent"),
        b'{"x":1e-999}',
        b'{"x":"[[[[[[[[[[[[[[[[[[[[ NaN 1e999"}',
        pytest.param(b'{"x":[' + b"[]," * 50 + b"[]]}", id="many lists side by side"),
        pytest.param(
            b'{"x":' + b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1) + b"}", id="deepest"
        ),
    ],
)
def test_what_only_looks_too_large_or_too_deep_is_a_document(raw: bytes) -> None:
    assert decode(raw) == json.loads(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    )
)
def test_what_is_read_can_be_written(value: Any) -> None:
    raw = json.dumps({"x": value}).encode()
    try:
        document = decode(raw)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            encode({"x": value})
    else:
        assert decode(encode(document)) == document


_FINITE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=3), _FINITE, max_size=4),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_a_settled_document_is_what_decoding_and_encoding_make_of_it(
    data: dict[str, Any], escaped: bool, indent: int | None
) -> None:
    raw = json.dumps(data, ensure_ascii=escaped, indent=indent).encode()
    document = settled(raw)
    assert document == decode(raw)
    assert encode(document) == document.raw == encode(decode(raw))
    assert (len(document), list(document), repr(document)) == (
        len(decode(raw)),
        list(decode(raw)),
        repr(decode(raw)),
    )


@pytest.mark.parametrize(
    ("raw", "settles_to"),
    [
        (b' { "b" : 1, "a" : [ 1 , 2 ] } ', b'{"a":[1,2],"b":1}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":"\\u00fc"}', '{"a":"ü"}'.encode()),
        (b'{"a":1e2}', b'{"a":100.0}'),
    ],
)
def test_bytes_are_not_taken_for_their_encoded_form(raw: bytes, settles_to: bytes) -> None:
    assert settled(raw).raw == settles_to


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"\\udfff":1}', id="half a surrogate pair as a key"),
        pytest.param(b'{"a":1e999}', id="not finite"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":' + b"[" * 17 + b"]" * 17 + b"}", id="too deep"),
        pytest.param(b'{"a":[' + b"1e9," * (MAX_DATA_BYTES // 5) + b"1]}", id="grows too large"),
        pytest.param(b"[]", id="no object"),
    ],
)
def test_what_cannot_be_encoded_does_not_settle(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        settled(raw)


def test_a_settled_document_in_another_is_encoded_like_any_other() -> None:
    assert encode({"x": settled(b'{ "b": 1 }')}) == b'{"x":{"b":1}}'
