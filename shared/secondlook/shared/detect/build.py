"""From an open network to a detector: what is declared about it, else what its shapes tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from secondlook.shared.detect.declaration import Declaration, from_metadata
from secondlook.shared.detect.identify import identify
from secondlook.shared.detect.input_format import InputFormat
from secondlook.shared.detect.interface import (
    ImageInput,
    image_input,
    input_size,
    network_outputs,
)
from secondlook.shared.detect.network import Network
from secondlook.shared.detect.network_detector import NetworkDetector
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import InvalidModel
from secondlook.shared.letterbox import PAD, Fit
from secondlook.shared.telemetry import get_logger

NMS_IOU = 0.65
"""Of two boxes of a class that overlap by more than this, the weaker goes."""

_log = get_logger(__name__)


def make_detector(
    network: Network,
    *,
    where: Path,
    name: str,
    version: str,
    said: Declaration,
    metadata: Mapping[str, str],
    max_batch: int,
    nms_iou: float = NMS_IOU,
) -> NetworkDetector:
    """A detector over an open network.

    Args:
        network: the network; closed with the detector.
        where: its file, for error messages and the log.
        name: short name for people, metrics and verdicts.
        version: its release where nothing declares one.
        said: what arguments and a sidecar say; it wins over the metadata.
        metadata: what the file itself says.
        max_batch: most images in one call of the network; a fixed batch in the network wins.
        nms_iou: of two boxes of a class that overlap by more than this, the weaker goes.

    Raises:
        InvalidModel: it is no detector, or its head or class list is unclear.
    """
    declared = said.over(from_metadata(metadata, where.name, said.fields()))
    image = image_input(where, network.inputs)
    width, height = input_size(where, image, declared)
    outputs = network_outputs(where, network, image, width, height)
    identified = identify(str(where), outputs, width, height, declared)
    if identified.assumed_coco:
        _log.warning("no class names in the model; 80 classes are taken for COCO", model=where.name)
    info = ModelInfo(
        name=name,
        version=declared.version or version,
        names=identified.names,
        width=width,
        height=height,
        head=identified.head.name,
        provider=network.provider,
        max_batch=image.batch or max_batch,
    )
    return NetworkDetector(
        network,
        info,
        identified.head,
        _format(image, declared, identified.head.name, width, height),
        fixed_batch=image.batch,
        nms_iou=nms_iou,
    )


def _format(
    image: ImageInput, declared: Declaration, head: str, width: int, height: int
) -> InputFormat:
    """What the input wants: as declared, else as networks of this head are usually trained."""
    like_yolox = head == "yolox"
    fit = Fit.TOP_LEFT if like_yolox else Fit.CENTRED
    if head in ("rtdetr", "rtdetr_topk", "detr_triple"):
        fit = Fit.STRETCH
    form = InputFormat(
        width=width,
        height=height,
        dtype=image.dtype,
        channels_last=image.channels_last,
        rgb=not like_yolox,
        unit_range=not like_yolox,
        fit=declared.letterbox or fit,
        pad=PAD if declared.pad is None else declared.pad,
    )
    if image.dtype == np.uint8:
        form = replace(form, rgb=False, unit_range=False)
    if declared.input_layout is not None:
        axes = "nhwc" if image.channels_last else "nchw"
        of_bytes = declared.input_layout.endswith("_uint8")
        if declared.layout != axes or of_bytes != (image.dtype == np.uint8):
            raise InvalidModel(
                f"input_layout {declared.input_layout!r} is declared, but the input is {image}"
            )
        form = replace(form, rgb=declared.colour == "rgb", unit_range=bool(declared.unit_range))
    return form
