"""What a model's ``parameters`` say about it as a detector, and the detector that follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ValidationError

from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.shared.detect.build import NMS_IOU, make_detector
from secondlook.shared.detect.declaration import Declaration, from_sidecar
from secondlook.shared.detect.network import Network
from secondlook.shared.detect.network_detector import NetworkDetector
from secondlook.shared.errors import InvalidConfig, InvalidModel
from secondlook.shared.telemetry import get_logger

Task = Literal["", "detect", "raw"]

_TEXTS = ("names", "head", "input_layout", "letterbox", "pad")
_NUMBERS = ("strides", "size")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said of a model as a detector.

    Attributes:
        task: ``detect``: it must be one; ``raw``: it is asked for tensors alone; empty: it is one
            where its head is understood.
        said: how it is to be read; see `secondlook.shared.detect.declaration`.
        nms_iou: of two boxes of a class that overlap by more than this, the weaker goes.
    """

    task: Task
    said: Declaration
    nms_iou: float

    @property
    def must_detect(self) -> bool:
        """Whether a network that is no detector is an error."""
        return self.task == "detect" or bool(self.said.fields() & {"head", "names"})


def read_declared(config: ModelConfig) -> Declared:
    """What ``config.parameters`` say.

    Raises:
        InvalidConfig: a value that cannot be; the message names the parameter.
    """
    parameters = config.parameters
    fields: dict[str, Any] = {key: parameters[key] for key in _TEXTS if parameters.get(key)}
    for key in _NUMBERS:
        if parameters.get(key):
            fields[key] = tuple(part.strip() for part in parameters[key].split(","))
    try:
        said = Declaration.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidConfig(
            f"model {config.name}: parameters[{first['loc'][0]}]: {first['msg']}"
        ) from error
    except InvalidModel as error:
        raise InvalidConfig(f"model {config.name}: parameters: {error.message}") from error
    return Declared(_task(config), said, _nms_iou(config.name, parameters))


def _task(config: ModelConfig) -> Task:
    said = config.parameters.get("task", "")
    for task in get_args(Task):
        if task == said:
            known: Task = task
            return known
    raise InvalidConfig(
        f"model {config.name}: parameters[task] is {said[:40]!r}; detect or raw expected"
    )


def _nms_iou(name: str, parameters: Mapping[str, str]) -> float:
    text = parameters.get("nms_iou", "")
    try:
        value = float(text) if text else NMS_IOU
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise InvalidConfig(
            f"model {name}: parameters[nms_iou] is {text[:40]!r}; above 0, at most 1 expected"
        )
    return value


def detector_over(
    network: Network,
    release: Release,
    declared: Declared,
    metadata: Mapping[str, str],
    max_batch: int,
) -> NetworkDetector | None:
    """The detector over a loaded network; ``None`` where it is none, and need not be.

    Args:
        network: what runs; the detector closes it.
        release: what it was loaded from; a sidecar may lie beside its file.
        declared: what parameters say; it wins over the sidecar.
        metadata: what the file says of itself.
        max_batch: most images in one call; a fixed batch in the network wins.

    Raises:
        InvalidModel: parameters call it a detector, but it cannot be read as one.
    """
    if declared.task == "raw":
        return None
    sidecar = _sidecar(release)
    said = declared.said.over(sidecar or Declaration())
    if release.version:
        said = said.model_copy(update={"version": release.version})
    try:
        return make_detector(
            network,
            where=release.file,
            name=release.config.name,
            version=f"sha256:{release.digest[:12]}",
            said=said,
            metadata=metadata,
            max_batch=max_batch,
            nms_iou=declared.nms_iou,
        )
    except InvalidModel as error:
        if declared.must_detect or sidecar is not None:
            raise
        _log.info("served as raw tensors", model=release.config.name, reason=error.message)
        return None


def _sidecar(release: Release) -> Declaration | None:
    """Of the file, or, for a variant such as ``model.int8.onnx``, of ``model.onnx``."""
    file = release.file
    base = file.with_name(file.stem.removesuffix(f".{release.variant}") + file.suffix)
    return from_sidecar(file) or from_sidecar(base)
