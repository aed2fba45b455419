"""Inputs that are almost right: valid ones, changed here and there by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence

CONFIGS = [
    b"""name: "yolo"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "images" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 640, 640 ] } ]
output [ { name: "output0" data_type: TYPE_FP32 dims: [ 84, 8400 ] label_filename: "a.txt" } ]
version_policy: { specific: { versions: [ 1, 3 ] } }
instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
""",
    b"""backend: 'pytorch'  # a comment
version_policy { latest { num_versions: 2 } }
parameters { key: "objective_ms" value: { string_value: "50" } }
parameters { key: "variant.int8" value: { string_value: "model.int8.onnx" } }
parameters { key: "share.1" value: { string_value: "95" } }
optimization { graph { level: 1 } execution_accelerators {
  gpu_execution_accelerator : [ { name : "tensorrt" parameters { key: "p" value: "FP16" } } ] } }
model_warmup [ { name: "w" batch_size: 1 inputs { key: "x" value {
  data_type: TYPE_FP32 dims: [ 1 ] zero_data: true } } } ]
""",
    b"""sequence_batching { max_sequence_idle_microseconds: 5000000 direct {}
  control_input [ { name: "START" control [ { kind: CONTROL_SEQUENCE_START
    fp32_false_true: [ 0, 1 ] } ] } ] }
""",
]
"""Texts of ``config.pbtxt``."""

SCRAPS = [
    b"{", b"}", b"[", b"]", b"<", b">", b'"', b"'", b":", b",", b"#", b"\n", b"\\", b"\x00",
    b"\xff", b"-1", b"0", b"9223372036854775808", b"1e309", b"nan", b"-inf", b"0x7fffffff",
    rb"\777", rb"\q", b"max_batch_size: ", b"input {", b"dims: [", b"TYPE_STRING",
    b"[type.googleapis.com/a] {", b"version_policy { all {} }", b"ensemble_scheduling { step {} }",
    "é\u202e".encode(),
]  # fmt: skip
"""Scraps of text that end, nest or overflow something."""


def mutated(rng: random.Random, seeds: Sequence[bytes], scraps: Sequence[bytes]) -> bytes:
    """One of the seeds with one to eight changes.

    Args:
        rng: decides everything.
        seeds: what is right.
        scraps: what parsers trip over, put in here and there.
    """
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((0, 1, 3, 20)))
        kind = rng.randrange(5)
        if kind == 0:
            data[at:end] = b""
        elif kind == 1:
            data[at:end] = rng.randbytes(end - at)
        elif kind == 2:
            data[at:at] = rng.choice(scraps)
        elif kind == 3:
            data[at:end] = rng.choice(scraps)
        else:
            # A piece of another one, or of itself.
            other = rng.choice(seeds)
            start = rng.randrange(len(other))
            data[at:end] = other[start : start + rng.randrange(60)]
    return bytes(data)
