"""What is asked in each part of the run, as bytes that are ready to be sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from secondlook.cli.bench.serve.processes import DETECTOR
from secondlook.cloud.engine.tensors import Array
from secondlook.edge.capture.clip import read_clip
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidInput

HERE = Path(__file__).parent
FILES = {"tiny": HERE / "tiny.onnx", "largest": HERE / "largest.onnx"}
"""Networks by the name under which both servers have them."""

PICTURE_BYTES = 60_000
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of request.

    Attributes:
        name: of the job, for people.
        request: a `ModelInferRequest`, serialized.
    """

    name: str
    request: bytes


def tiny() -> Job:
    """A perceptron of one row: nothing but what a call costs."""
    return Job("tiny", _request("tiny", "FP32", np.linspace(-1, 1, 16, dtype=np.float32)))


def largest() -> Job:
    """60 kB of bytes, as much as a picture has, of which the network gives the largest."""
    content = np.random.default_rng(7).integers(0, 255, PICTURE_BYTES, np.uint8)
    return Job("60 kB", _request("largest", "UINT8", content))


def picture(jpeg: bytes) -> Job:
    """A JPEG in, boxes out."""
    request = pb.ModelInferRequest(model_name=f"{DETECTOR}.detect", id="1")
    request.inputs.add(name="image", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(struct.pack("<I", len(jpeg)) + jpeg)
    return Job("JPEG", request.SerializeToString())


def first_picture(clip: str) -> bytes:
    """The first frame of a clip as a JPEG, or the file itself where it is one.

    Raises:
        InvalidInput: there is no frame.
    """
    if clip.lower().endswith((".jpg", ".jpeg")):
        return Path(clip).read_bytes()
    for frame in read_clip(clip):
        done, jpeg = cv2.imencode(
            ".jpg", frame.frame.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if done:
            return jpeg.tobytes()
    raise InvalidInput(f"{clip} has no frame")


def _request(model: str, datatype: str, row: Array) -> bytes:
    request = pb.ModelInferRequest(model_name=model, id="1", raw_input_contents=[row.tobytes()])
    request.inputs.add(name="x", datatype=datatype, shape=[1, len(row)])
    return request.SerializeToString()
