"""Three forms, one message; whatever is wrong is told with its line and field."""

import pytest
from google.protobuf import text_format

from secondlook.cloud.repository.findings import FaultyConfig
from secondlook.cloud.repository.forms import (
    MAX_BYTES,
    Written,
    from_json,
    from_text,
    from_toml,
)

TEXT = """
name: "tiny"
platform: "onnxruntime_onnx"
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
version_policy { specific { versions: [ 1, 3 ] } }
parameters { key: "objective_ms" value { string_value: "50" } }
"""
TOML = """
name = "tiny"
platform = "onnxruntime_onnx"
max_batch_size = 8
version_policy.specific.versions = [1, 3]
[[input]]
name = "x"
data_type = "TYPE_FP32"
dims = [4]
[parameters]
objective_ms = 50
"""
JSON = """
{"name": "tiny", "platform": "onnxruntime_onnx", "max_batch_size": 8,
 "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["4"]}],
 "version_policy": {"specific": {"versions": ["1", 3]}},
 "parameters": {"objective_ms": {"string_value": "50"}}}
"""


def text(said: str) -> Written:
    return from_text(said.encode(), "m/config.pbtxt")


def test_all_forms_say_the_same() -> None:
    message = text(TEXT).message
    assert from_toml(TOML.encode(), "m/config.toml").message == message
    assert from_json(JSON, "load").message == message
    assert text(text_format.MessageToString(message)).message == message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('name: "a"\nmax_batch_siz: 3', "m/config.pbtxt:2: max_batch_siz: no such field in"),
        ('name: "a"\nmax_batch_siz: 3', "did you mean max_batch_size?"),
        ('input {\n nam: "x"\n}', "m/config.pbtxt:2: nam: no such field in ModelInput"),
        ("version_policy { latest { num: 3 } }", "known are num_versions"),
        ('\nmax_batch_size: "x"', "m/config.pbtxt:2: Couldn't parse integer"),
        ('name: "a', "missing ending quote"),
        ("input { data_type: TYPE_F32 }", "has no value named TYPE_F32"),
        ("dynamic_batching {}\nsequence_batching {}", "m/config.pbtxt:2: "),
        ('name: "a"\nname: "b"', "m/config.pbtxt:2: "),
        ("parameters { key: 'k' value {} }\nparameters { key: 'k' value {} }", ":2: parameters[k]"),
        ("max_batch_size: " + "9" * 5000, "parse integer"),
        ("a {" * 5000, "no such field"),
        ("[a.b]: 3", "extensions"),
        ("model_operations_: {}", "did you mean model_operations?"),
    ],
)
def test_text_that_is_wrong(said: str, expected: str) -> None:
    with pytest.raises(FaultyConfig) as caught:
        text(said)
    assert expected in caught.value.message
    assert caught.value.message.count("m/config.pbtxt") == 1
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[]", "holds a list, not an object"),
        ("nope", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (" " * MAX_BYTES + "{}", "is larger"),
        ('{"max_batch_siz": 3}', "max_batch_siz: no such field in ModelConfig; did you mean"),
        ('{"input": [{}, {"nam": 1}]}', "input[1].nam: no such field"),
        ('{"max_batch_size": 3.5}', "max_batch_size: "),
        ('{"input": 3}', "input"),
        ('{"parameters": 3}', "parameters"),
        ('{"parameters": {"a": {"string_value": 3}}}', "string"),
        ('{"input": [{"data_type": "TYPE_X"}]}', "input[0].data_type"),
        ('{"name": "\\ud800"}', "name"),
    ],
)
def test_json_that_is_wrong(said: str, expected: str) -> None:
    with pytest.raises(FaultyConfig) as caught:
        from_json(said, "load")
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("max_batch_size = 3\nx = ?", "m/config.toml:2: is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        ("max_batch_siz = 3", "did you mean max_batch_size?"),
        ("name = 1979-05-27", "name"),
        ("max_batch_size = 1979-05-27", "max_batch_size"),
    ],
)
def test_toml_that_is_wrong(said: str, expected: str) -> None:
    with pytest.raises(FaultyConfig) as caught:
        from_toml(said.encode(), "m/config.toml")
    assert expected in caught.value.message


def test_bytes_that_are_no_text_have_a_line() -> None:
    with pytest.raises(FaultyConfig, match=r"m/config\.pbtxt:2: is not text in UTF-8"):
        from_text(b'name: "a"\n\xff\xfe', "m/config.pbtxt")
    with pytest.raises(FaultyConfig, match="is larger than"):
        from_text(b"#" * (MAX_BYTES + 1), "m/config.pbtxt")


def test_a_batch_that_is_written_as_0_is_written() -> None:
    assert text("max_batch_size: 0").batch_said
    assert not text("").batch_said
    assert from_json('{"maxBatchSize": 0}', "load").batch_said
