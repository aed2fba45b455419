"""From a file to a detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from secondlook.shared.detect.class_names import check_names, parse_names
from secondlook.shared.detect.declaration import Declaration, from_metadata, from_sidecar
from secondlook.shared.detect.identify import identify
from secondlook.shared.detect.input_format import InputFormat
from secondlook.shared.detect.network import (
    ImageInput,
    image_input,
    input_size,
    network_outputs,
)
from secondlook.shared.detect.onnx_detector import OnnxDetector
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.detect.session import open_session, read_digest
from secondlook.shared.errors import InvalidConfig, InvalidModel
from secondlook.shared.letterbox import PAD, Fit
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)


def load_detector(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    version: str | None = None,
    names: Sequence[str] | str | None = None,
    head: str | None = None,
    providers: Sequence[str] = ("auto",),
    threads: int = 0,
    max_batch: int = 8,
    nms_iou: float = 0.65,
    spin: bool = False,
) -> OnnxDetector:
    """Load an ONNX detector.

    What the arguments say wins over a sidecar (``street.toml`` beside ``street.onnx``), which wins
    over the metadata in the file, which wins over what shapes suggest.

    Args:
        path: the ONNX file.
        name: short name for people, metrics and verdicts; the file's stem by default.
        version: immutable release; from sidecar or metadata, else ``sha256:`` and 12 digits.
        names: class names in order, or ``"coco"``.
        head: one of `secondlook.shared.detect.heads.HEAD_NAMES`.
        providers: execution providers to try in order, or ``("auto",)``.
        threads: threads of the network; 0 is one per usable core.
        max_batch: most images in one call of the network; a fixed batch in the file wins.
        nms_iou: of two boxes of a class that overlap by more than this, the weaker goes.
        spin: let idle threads of the network wait actively.

    Raises:
        InvalidModel: the file is missing, broken, no detector, or its head or class list unclear.
        InvalidConfig: a provider that is unknown or absent, a number out of range.
    """
    if not 0 <= threads <= 1024:
        raise InvalidConfig(f"threads is {threads}; 0 (all cores) to 1024 expected")
    if not 1 <= max_batch <= 1024:
        raise InvalidConfig(f"max_batch is {max_batch}; 1 to 1024 expected")
    if not 0 < nms_iou <= 1:
        raise InvalidConfig(f"nms_iou is {nms_iou}; above 0, at most 1 expected")
    file = Path(path)
    digest = read_digest(file)
    said = _argued(names, head, version).over(from_sidecar(file) or Declaration())
    opened = open_session(file, providers=providers, threads=threads, spin=spin)
    session = opened.session
    try:
        metadata = dict(session.get_modelmeta().custom_metadata_map)
        declared = said.over(from_metadata(metadata, file.name, said.fields()))
        image = image_input(file, session)
        width, height = input_size(file, image, declared)
        outputs = network_outputs(file, session, image, width, height)
    except UnicodeDecodeError as error:
        raise InvalidModel(
            f"{file} names its parts in no known text encoding", remedy="export it again"
        ) from error
    identified = identify(str(file), [known for _, known in outputs], width, height, declared)
    if identified.assumed_coco:
        _log.warning("no class names in the model; 80 classes are taken for COCO", model=file.name)
    info = ModelInfo(
        name=name or file.stem,
        version=declared.version or f"sha256:{digest[:12]}",
        names=identified.names,
        width=width,
        height=height,
        head=identified.head.name,
        provider=opened.provider,
        max_batch=image.batch or max_batch,
    )
    return OnnxDetector(
        session,
        info,
        identified.head,
        _format(image, declared, identified.head.name, width, height),
        [output for output, _ in outputs],
        fixed_batch=image.batch,
        nms_iou=nms_iou,
    )


def _argued(
    names: Sequence[str] | str | None, head: str | None, version: str | None
) -> Declaration:
    listed: tuple[str, ...] | None = None
    if isinstance(names, str):
        listed = parse_names(names, "argument names")
    elif names is not None:
        listed = check_names(names, "argument names")
    try:
        return Declaration.model_validate({"names": listed, "head": head, "version": version})
    except ValueError as error:
        raise InvalidModel(f"head {head!r} or version {version!r} is not known") from error


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
    if image.kind == "tensor(uint8)":
        form = replace(form, rgb=False, unit_range=False)
    if declared.input_layout is not None:
        axes = "nhwc" if image.channels_last else "nchw"
        of_bytes = declared.input_layout.endswith("_uint8")
        if declared.layout != axes or of_bytes != (image.kind == "tensor(uint8)"):
            raise InvalidModel(
                f"input_layout {declared.input_layout!r} is declared, but the input is {image}"
            )
        form = replace(form, rgb=declared.colour == "rgb", unit_range=bool(declared.unit_range))
    return form
