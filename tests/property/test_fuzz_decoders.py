"""Whatever decodes bytes from outside: mutated inputs are read or refused by an error of ours.

``pytest -s`` prints the count of each decoder; ``FUZZ_CASES=100000`` asks for more of them. The
mutations are the same in every run: a crash of a native library would take the run with it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar
from zlib import crc32

import numpy as np
import pytest
from support.canvas import scene
from support.cloud import encoded
from support.inference import identity
from support.mutation import CONFIGS, SCRAPS, mutated

from secondlook.cloud.backends.remote_protocol import outputs_of
from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.cloud.engine.tensors import DTYPES
from secondlook.cloud.picture.decode import decode_image
from secondlook.cloud.picture.header import sniff
from secondlook.cloud.repository.findings import FaultyConfig
from secondlook.cloud.repository.forms import Written, from_json, from_text, from_toml
from secondlook.cloud.repository.proto import from_proto, to_proto
from secondlook.cloud.rpc.inference.reading import Reader
from secondlook.cloud.rpc.inference.writing import to_raw
from secondlook.edge.carrier import CanvasEncoder, CanvasSettings
from secondlook.edge.regions import Canonical
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidConfig, InvalidInput, ModelFailure, StateLost
from secondlook.shared.values import ImageEncoding, Region
from secondlook.shared.values.canvas import chained
from secondlook.shared.values.escalation import VIDEO_ENCODINGS

CASES = int(os.environ.get("FUZZ_CASES", "1000"))
"""Mutations for each decoder."""

MAX_PIXELS = 100_000
BYTES = [b"\x00", b"\xff", b"\x00\x00\x01", b"\x7f\xff\xff\xff", b"\x80" * 9, bytes(8)]

T = TypeVar("T")

Decode = Callable[[bytes], str]
"""What became of it: ``read``, or a kind of refusal. Raises what may be raised to the outside."""


@dataclass(frozen=True)
class Case:
    """A decoder, and what it reads when nothing is wrong."""

    seeds: Sequence[bytes]
    decode: Decode
    scraps: Sequence[bytes] = tuple(BYTES)
    refusals: tuple[type[Exception], ...] = (InvalidInput,)


def picture(encoding: ImageEncoding) -> Case:
    images = [scene(96, 64), np.zeros((1, 1, 3), np.uint8)]

    def decode(data: bytes) -> str:
        image = decode_image(data, sniff(data), MAX_PIXELS)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[0] * image.shape[1] <= MAX_PIXELS
        return "read"

    return Case([encoded(image, encoding) for image in images], decode)


def canvas_units(codec: Literal["h264", "av1"]) -> Case:
    region = (Region(64, 64, 96, 64),)
    frame = Canonical.of(320, 240, 640)
    encoder = CanvasEncoder(CanvasSettings(codec=codec))
    made = [encoder.encode(scene(320, 240, shift=5 * k), region, frame, 10**6) for k in range(2)]
    first, second = ((one.canvas, one.image) for one in made)
    assert first[0] is not None
    assert second[0] is not None
    key, update = first[0], second[0]

    def decode(data: bytes) -> str:
        decoder = CanvasDecoder()
        # The check is right: whoever sends a hostile unit computes it too.
        image = decoder.decode(replace(key, check=chained(data, 0)), data)
        assert image.shape == (240, 320, 3)
        return "read"

    def decode_update(data: bytes) -> str:
        decoder = CanvasDecoder()
        decoder.decode(key, first[1])
        image = decoder.decode(replace(update, check=chained(data, key.check)), data)
        assert image.shape == (240, 320, 3)
        return "read"

    def either(data: bytes) -> str:
        return decode(data) if data[:40] == first[1][:40] else decode_update(data)

    return Case([first[1], second[1]], either, refusals=(InvalidInput, StateLost))


def requests(datatype: str, *, typed: bool = False) -> Case:
    """Messages with one tensor, as raw or as typed contents."""
    values = np.array([b"a picture", b""], np.object_)
    array = values if datatype == "BYTES" else np.arange(6).astype(DTYPES[datatype])
    asked = pb.ModelInferRequest(model_name="m")
    tensor = asked.inputs.add(name="x", datatype=datatype, shape=array.shape)
    if typed:
        tensor.contents.fp32_contents.extend(array.tolist())
    else:
        asked.raw_input_contents.append(to_raw("x", datatype, array))
    reader = Reader(identity(datatype))

    def decode(data: bytes) -> str:
        request = parsed(pb.ModelInferRequest.FromString, data)
        if request is None:
            return "no message"
        found = reader.tensors(request)
        assert all(one.dtype == DTYPES[datatype] for one in found.values())
        return "read"

    return Case([asked.SerializeToString()], decode)


def contents(datatype: str) -> Case:
    """The bytes of one tensor alone, under shapes that are right, open or absurd."""
    values = np.array([b"a picture", b"another"], np.object_)
    array = values if datatype == "BYTES" else np.arange(6).astype(DTYPES[datatype])
    reader = Reader(identity(datatype))

    def decode(data: bytes) -> str:
        shapes = [[len(array)], [len(data) // 4], [-1], [2**62, 4], [0], [], [2, 3], [2**63 - 1]]
        request = pb.ModelInferRequest(model_name="m", raw_input_contents=[data])
        shape = shapes[0] if data == seed else shapes[crc32(data) % 16 % len(shapes)]
        request.inputs.add(name="x", datatype=datatype, shape=shape)
        found = reader.tensors(request)["x"]
        assert found.dtype == DTYPES[datatype]
        assert list(found.shape) == shape
        return "read"

    seed = to_raw("x", datatype, array)
    return Case([seed], decode)


def replies() -> Case:
    """What another server answers."""
    reply = pb.ModelInferResponse(model_name="m", raw_output_contents=[bytes(8)])
    reply.outputs.add(name="y", datatype="FP32", shape=[2])

    def decode(data: bytes) -> str:
        answer = parsed(pb.ModelInferResponse.FromString, data)
        if answer is None:
            return "no message"
        assert list(outputs_of(answer, ("y",))) == ["y"]
        return "read"

    return Case([reply.SerializeToString()], decode, refusals=(ModelFailure,))


def parsed(parse: Callable[[bytes], T], data: bytes) -> T | None:
    try:
        return parse(data)
    except Exception:  # noqa: BLE001 - protobuf's own refusal; the strict server answers it
        return None


def configuration(parse: Callable[[bytes, str], Written], seeds: Sequence[bytes]) -> Case:
    def decode(data: bytes) -> str:
        try:
            written = parse(data, "config")
        except FaultyConfig as error:
            check_told(error)
            return "unparsed"
        found = from_proto(written.message)
        last = data.count(b"\n") + 1
        for issue in (*found.issues, *found.notes):
            line = written.at(issue).line
            assert line is None or 1 <= line <= last
        if found.issues:
            return "refused"
        assert from_proto(to_proto(found.config)).config == found.config
        return "read"

    return Case(seeds, decode, SCRAPS, (InvalidConfig,))


def check_told(error: FaultyConfig) -> None:
    assert len(error.message) < 2000
    assert error.issues
    assert all(issue.line is None or issue.line >= 1 for issue in error.issues)


def json_written(data: bytes, where: str) -> Written:
    return from_json(data.decode(errors="replace"), where)


TOML = b"""name = "yolo"
max_batch_size = 8
[[input]]
name = "x"
data_type = "TYPE_FP32"
dims = [3]
"""
JSON = b"""{"name": "yolo", "max_batch_size": 8, "parameters": {"task": "raw"},
"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]}"""

CASES_BY_DECODER: dict[str, Callable[[], Case]] = {
    **{
        f"image: {encoding.value}": partial(picture, encoding)
        for encoding in ImageEncoding
        if encoding not in VIDEO_ENCODINGS
    },
    "canvas units of H.264": partial(canvas_units, "h264"),
    "canvas units of AV1": partial(canvas_units, "av1"),
    "tensors": partial(contents, "FP32"),
    "tensors of bytes": partial(contents, "BYTES"),
    "requests": partial(requests, "FP32"),
    "requests with bytes": partial(requests, "BYTES"),
    "requests, typed": partial(requests, "FP32", typed=True),
    "replies of a server": replies,
    "config.pbtxt": partial(configuration, from_text, CONFIGS),
    "config.toml": partial(configuration, from_toml, [TOML]),
    "config as JSON": partial(configuration, json_written, [JSON]),
}


@pytest.mark.parametrize("name", CASES_BY_DECODER)
def test_mutated_inputs_are_read_or_refused(name: str) -> None:
    case = CASES_BY_DECODER[name]()
    rng = random.Random(5)
    outcomes = Counter[str]()
    for seed in case.seeds:
        assert case.decode(seed) in ("read", "refused")
    for _ in range(CASES):
        data = mutated(rng, case.seeds, case.scraps)
        try:
            outcomes[case.decode(data)] += 1
        except case.refusals:
            outcomes["refused"] += 1
    print(f"\n{name}: {outcomes.total()} mutations, {dict(outcomes)}")  # noqa: T201 - it is told
    assert outcomes["read"] > CASES // 100
    assert outcomes.total() - outcomes["read"] > CASES // 100
