"""From a file to a detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.shared.detect.binding import NetworkOutput
from secondlook.shared.detect.class_names import check_names, parse_names
from secondlook.shared.detect.declaration import Declaration, from_metadata, from_sidecar
from secondlook.shared.detect.identify import OutputShape, identify
from secondlook.shared.detect.input_format import InputFormat
from secondlook.shared.detect.onnx_detector import SIZE_INPUT, OnnxDetector
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.detect.session import FOREIGN, open_session, read_digest, reason_of
from secondlook.shared.errors import InvalidConfig, InvalidModel
from secondlook.shared.letterbox import PAD, Fit
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values.frame import check_size

DTYPES: dict[str, npt.DTypeLike] = {
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
IMAGE_DTYPES = ("tensor(uint8)", "tensor(float16)", "tensor(float)")

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
    sidecar = from_sidecar(file)
    opened = open_session(file, providers=providers, threads=threads, spin=spin)
    session = opened.session
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    declared = from_metadata(metadata, file.name)
    if sidecar is not None:
        declared = sidecar.over(declared)
    declared = _argued(names, head, version).over(declared)

    image, batch = _image_input(file, session)
    width, height = _input_size(file, image, declared)
    outputs = _outputs(file, session, image.name, width, height, batch or 1, image)
    shapes = [
        OutputShape(o.name, shape, np.dtype(o.dtype or np.float32).kind in "iu")
        for o, shape in outputs
    ]
    identified = identify(str(file), shapes, width, height, declared)
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
        max_batch=batch or max_batch,
    )
    form = _format(image, declared, identified.head.name, width, height)
    return OnnxDetector(
        session,
        info,
        identified.head,
        form,
        [output for output, _ in outputs],
        fixed_batch=batch,
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


class _Image:
    """The image input of a network."""

    def __init__(self, value: Any) -> None:
        self.name: str = value.name
        self.kind: str = value.type
        self.shape: list[int | None] = [n if isinstance(n, int) else None for n in value.shape]
        self.channels_last = len(self.shape) == 4 and self.shape[3] == 3 and self.shape[1] != 3

    @property
    def height(self) -> int | None:
        return self.shape[1] if self.channels_last else self.shape[2]

    @property
    def width(self) -> int | None:
        return self.shape[2] if self.channels_last else self.shape[3]


def _image_input(file: Path, session: Any) -> tuple[_Image, int | None]:
    """The image input, and its batch size where that is fixed."""
    values = session.get_inputs()
    shown = ", ".join(f"{v.name} {v.type} {v.shape}" for v in values) or "(none)"
    images = [v for v in values if v.name != SIZE_INPUT]
    if len(images) != 1 or len(images[0].shape) != 4 or images[0].type not in IMAGE_DTYPES:
        raise InvalidModel(
            f"{file}: its inputs are {shown}; one image of 4 axes, uint8 or float, is expected",
            remedy="export a detector without further inputs",
        )
    image = _Image(images[0])
    channels = image.shape[3] if image.channels_last else image.shape[1]
    if channels != 3:
        raise InvalidModel(
            f"{file}: its input {shown} takes {channels or 'any number of'} channels; "
            "3 (colour) are needed, as (batch, 3, h, w) or (batch, h, w, 3)",
            remedy="export it for colour images",
        )
    return image, image.shape[0]


def _input_size(file: Path, image: _Image, declared: Declaration) -> tuple[int, int]:
    width, height = image.width, image.height
    if width is None or height is None:
        if declared.size is None:
            raise InvalidModel(
                f"{file}: its input {image.name} is of open size",
                remedy=f"state size = [width, height] in a sidecar {file.with_suffix('.toml')}",
            )
        width, height = width or declared.size[0], height or declared.size[1]
    try:
        check_size(width, height, "network input")
    except ValueError as error:
        raise InvalidModel(f"{file}: {error}") from error
    return width, height


def _outputs(
    file: Path, session: Any, input_name: str, width: int, height: int, batch: int, image: _Image
) -> list[tuple[NetworkOutput, tuple[int | None, ...]]]:
    """Each output, with its shape per image as far as it can be known."""
    values = session.get_outputs()
    declared = [[n if isinstance(n, int) else None for n in v.shape[1:]] for v in values]
    actual: list[tuple[int | None, ...]] = [tuple(shape) for shape in declared]
    unsaid = [None in shape or not v.shape for shape, v in zip(declared, values, strict=True)]
    if any(unsaid) or image.width is None or image.height is None:
        # The file does not say: one run on an empty picture does.
        form = InputFormat(width, height, DTYPES[image.kind], image.channels_last)
        feed: dict[str, npt.NDArray[Any]] = {input_name: np.zeros(form.shape(batch), form.dtype)}
        if any(v.name == SIZE_INPUT for v in session.get_inputs()):
            feed[SIZE_INPUT] = np.full((batch, 2), (width, height), np.int64)
        try:
            actual = [np.asarray(array).shape[1:] for array in session.run(None, feed)]
        except FOREIGN as error:
            raise InvalidModel(
                f"{file}: cannot run on an empty picture of {width}x{height}: {reason_of(error)}"
            ) from error
    outputs = []
    for value, shape, known in zip(values, declared, actual, strict=True):
        fixed = tuple(n for n in shape if n is not None)
        whole = len(fixed) == len(shape) and bool(value.shape) and value.type in DTYPES
        described = NetworkOutput(value.name, fixed if whole else None, DTYPES.get(value.type))
        outputs.append((described, known))
    return outputs


def _format(
    image: _Image, declared: Declaration, head: str, width: int, height: int
) -> InputFormat:
    """What the input wants: as declared, else as networks of this head are usually trained."""
    like_yolox = head == "yolox"
    fit = Fit.TOP_LEFT if like_yolox else Fit.CENTRED
    if head in ("rtdetr", "detr_triple"):
        fit = Fit.STRETCH
    form = InputFormat(
        width=width,
        height=height,
        dtype=DTYPES[image.kind],
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
                f"input_layout {declared.input_layout!r} is declared, but the input is "
                f"{image.name} {image.kind} {image.shape}"
            )
        form = replace(form, rgb=declared.colour == "rgb", unit_range=bool(declared.unit_range))
    return form
