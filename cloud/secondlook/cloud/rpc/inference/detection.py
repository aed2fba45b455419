"""Every detector is also served as ``<name>.detect``: an encoded picture in, boxes out.

=========  ========  =======  ==================================================================
tensor     datatype  shape
=========  ========  =======  ==================================================================
image      BYTES     [1]      in: a JPEG, PNG or WebP
min_score  FP32      [1]      in, may be absent: boxes below are not returned, 0 to 1
boxes      FP32      [n, 4]   out: x1 y1 x2 y2 in the picture's own pixels, best score first
scores     FP32      [n]      out: 0 to 1
classes    INT32     [n]      out: indices of the model's classes
labels     BYTES     [n]      out: their names, UTF-8
=========  ========  =======  ==================================================================
"""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from secondlook.cloud.engine.asking import Ask, Inferred
from secondlook.cloud.engine.serving import Serving
from secondlook.cloud.engine.tensors import Array, Signature, Tensors, TensorSpec
from secondlook.cloud.picture.decoders import Decoders
from secondlook.cloud.rpc.inference.telling import datatype
from secondlook.oip import model_config_pb2 as config_pb
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections

PLATFORM = "secondlook_detect"
INFO = "detector"
"""Parameter of the configuration: a `ModelInfo` as JSON."""

IMAGE = TensorSpec("image", "BYTES", (1,))
MIN_SCORE = TensorSpec("min_score", "FP32", (1,))
SIGNATURE = Signature(
    inputs=(IMAGE, MIN_SCORE),
    outputs=(
        TensorSpec("boxes", "FP32", (-1, 4)),
        TensorSpec("scores", "FP32", (-1,)),
        TensorSpec("classes", "INT32", (-1,)),
        TensorSpec("labels", "BYTES", (-1,)),
    ),
    max_batch=0,
)


async def detect(
    serving: Serving, decoders: Decoders, tensors: Tensors, ask: Ask, wanted: tuple[str, ...]
) -> Inferred:
    """Decode, and ask the detector.

    Args:
        serving: what runs the models.
        decoders: what decodes pictures.
        tensors: as in the module's table.
        ask: who asks which detector.
        wanted: names of outputs; all where empty.

    Raises:
        InvalidInput: the picture is missing or none, or the score is none.
        NotFound, Overloaded, DeadlineExceeded, Unavailable, ModelFailure: see `Serving.detect`.
    """
    image, min_score = _image(tensors), _min_score(tensors)
    picture = await decoders.decode(image, ask.deadline)
    detected = await serving.detect(picture, ask, min_score=min_score)
    return Inferred(_outputs(detected.detections, wanted), detected.ran)


def config(name: str, info: ModelInfo) -> config_pb.ModelConfig:
    """The configuration of a detector's other face; what is known about it is a parameter."""
    told = config_pb.ModelConfig(name=name, platform=PLATFORM, backend="secondlook")
    for spec in SIGNATURE.inputs:
        told.input.add(
            name=spec.name,
            data_type=datatype(spec),
            dims=spec.shape,
            optional=spec is MIN_SCORE,
        )
    for spec in SIGNATURE.outputs:
        told.output.add(name=spec.name, data_type=datatype(spec), dims=spec.shape)
    told.parameters[INFO].string_value = json.dumps(asdict(info))
    return told


def _image(tensors: Tensors) -> bytes:
    image = tensors.get(IMAGE.name)
    if image is None:
        raise InvalidInput("input 'image' is missing")
    _check_shape(IMAGE, image)
    data: bytes = image.item()
    return data


def _min_score(tensors: Tensors) -> float:
    given = tensors.get(MIN_SCORE.name)
    if given is None:
        return 0.0
    _check_shape(MIN_SCORE, given)
    score = float(given.item())
    if not 0 <= score <= 1:
        raise InvalidInput(f"input 'min_score' is {score}; 0 to 1 expected")
    return score


def _check_shape(spec: TensorSpec, array: Array) -> None:
    if not spec.accepts(array.shape):
        raise InvalidInput(
            f"input {spec.name!r} has shape {list(array.shape)}; {list(spec.shape)} expected"
        )


def _outputs(found: Detections, wanted: tuple[str, ...]) -> dict[str, Array]:
    outputs: dict[str, Array] = {
        "boxes": found.boxes,
        "scores": found.scores,
        "classes": found.classes,
    }
    if not wanted or "labels" in wanted:
        names = [found.names[index] for index in found.classes.tolist()]
        outputs["labels"] = np.array(names, np.object_)
    return outputs
