"""What a model's file, or a sidecar beside it, says about it.

Whatever is declared wins over what shapes suggest; a sidecar wins over the metadata in the file.
A sidecar of ``street.onnx`` is ``street.toml`` or ``street.json`` (the fields of `Declaration`),
or ``street.txt`` (one class name a line).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from secondlook.shared.detect.class_names import check_names, parse_names
from secondlook.shared.detect.heads import HeadName
from secondlook.shared.errors import InvalidModel
from secondlook.shared.letterbox import Fit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_SIDECAR_BYTES = 1_000_000
SIDECARS = (".toml", ".json", ".txt")
"""Endings of a sidecar, in the order in which they are looked for."""

Layout = Literal["nchw", "nhwc"]
Colour = Literal["bgr", "rgb"]

_HEAD_ALIASES = {
    "yolov7": "yolov5",
    "yolox_decoded": "yolov5",
    "yolo11": "yolov8",
    "yolov11": "yolov8",
    "yolov10": "end2end",
    "yolo26": "end2end",
}


def _head(value: Any) -> Any:
    return _HEAD_ALIASES.get(value, value) if isinstance(value, str) else value


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return parse_names(value, "names")
    return check_names(value, "names") if isinstance(value, list | tuple) else value


class Declaration(BaseModel):
    """What is said about a model; ``None`` where nothing is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = Field(
        None, description='Class names in the order of their indices, or "coco".'
    )
    head: Annotated[HeadName | None, BeforeValidator(_head)] = Field(
        None, description="How the outputs are to be read."
    )
    input_layout: str | None = Field(
        None,
        pattern="^(nchw|nhwc)_(bgr|rgb)_(255|unit|uint8)$",
        description="Axes, colour order and range of the input: nchw_rgb_unit (0 to 1), "
        "nchw_bgr_255 (floats of 0 to 255), nhwc_bgr_uint8, ...",
    )
    letterbox: Fit | None = Field(
        None, description="Where the image lies in the input: topleft, centred or stretch."
    )
    pad: int | None = Field(None, ge=0, le=255, description="Grey of the padding.")
    strides: tuple[int, ...] | None = Field(
        None, min_length=1, max_length=8, description="Input pixels per cell of each feature map."
    )
    size: tuple[int, int] | None = Field(
        None, description="Width and height of the input, pixels; for inputs of open size."
    )
    version: str | None = Field(
        None, min_length=1, max_length=100, description="Immutable release of the model."
    )

    def over(self, other: Declaration) -> Declaration:
        """This declaration, completed by ``other`` where it says nothing."""
        return other.model_copy(update={name: getattr(self, name) for name in self.fields()})

    def fields(self) -> set[str]:
        """Names of the fields about which something is said."""
        return {name for name, value in self if value is not None}

    @property
    def layout(self) -> Layout | None:
        """The axes, from ``input_layout``."""
        return None if self.input_layout is None else _part(self.input_layout, 0, "nchw", "nhwc")

    @property
    def colour(self) -> Colour | None:
        """The colour order, from ``input_layout``."""
        return None if self.input_layout is None else _part(self.input_layout, 1, "bgr", "rgb")

    @property
    def unit_range(self) -> bool | None:
        """Whether the input ranges from 0 to 1, from ``input_layout``."""
        return None if self.input_layout is None else self.input_layout.endswith("_unit")


def _part(text: str, index: int, *allowed: Any) -> Any:
    part = text.split("_")[index]
    return next(word for word in allowed if word == part)


def from_metadata(
    metadata: Mapping[str, str], where: str, settled: Collection[str] = ()
) -> Declaration:
    """What the metadata inside a model file says; keys of other tools are passed over.

    Args:
        metadata: as ONNX Runtime gives it.
        where: the file, for error messages.
        settled: fields that a sidecar or the caller has stated: whatever is written here about
            them does not matter, not even when it is nonsense.

    Raises:
        InvalidModel: a known key with a value that cannot be; a task other than detection.
    """
    task = metadata.get("task", "detect")
    if task != "detect":
        raise InvalidModel(
            f"{where} is a model for {task[:40]!r}; only detectors are understood",
            remedy="export a detection model",
        )
    keys = {"head", "input_layout", "letterbox", "pad", "version", "names", "strides"}
    if "ultralytics" in metadata.get("author", "").lower():
        # There, version is that of the library and head the name of a class of its code.
        keys -= {"head", "version"}
    said: dict[str, Any] = {key: metadata[key] for key in keys - set(settled) if metadata.get(key)}
    if metadata.get("head") == "RTDETRDecoder" and "head" not in settled:
        said["head"] = "rtdetr_topk"
    if "names" in said:
        said["names"] = parse_names(said["names"], f"metadata 'names' of {where}")
    if "strides" in said:
        said["strides"] = _whole_numbers(said["strides"])
    # ultralytics calls it imgsz, height first.
    size = _whole_numbers(metadata.get("imgsz", ""))
    if len(size) == 2:
        said["size"] = (size[1], size[0])
    return _validated(said, f"metadata of {where}")


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,6}", text[:200]))


def from_sidecar(model: Path) -> Declaration | None:
    """What the sidecar beside ``model`` says; ``None`` where there is none.

    Raises:
        InvalidModel: unreadable, too large, not TOML or JSON, unknown or bad fields.
    """
    for suffix in SIDECARS:
        sidecar = model.with_suffix(suffix)
        if sidecar.is_file():
            return _read_sidecar(sidecar)
    return None


def _read_sidecar(sidecar: Path) -> Declaration:
    try:
        with sidecar.open("rb") as file:
            data = file.read(MAX_SIDECAR_BYTES + 1)
        if len(data) > MAX_SIDECAR_BYTES:
            raise InvalidModel(f"sidecar {sidecar} is larger than {MAX_SIDECAR_BYTES} bytes")
        text = data.decode("utf-8")
        if sidecar.suffix == ".txt":
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return Declaration(names=check_names(lines, f"sidecar {sidecar}"))
        said = json.loads(text) if sidecar.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidModel(f"sidecar {sidecar} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidModel):
            raise
        raise InvalidModel(f"sidecar {sidecar} is broken: {error}") from error
    if not isinstance(said, dict):
        raise InvalidModel(f"sidecar {sidecar} holds a {type(said).__name__}, not a table")
    return _validated(said, f"sidecar {sidecar}")


def _validated(said: dict[str, Any], where: str) -> Declaration:
    try:
        return Declaration(**said)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "content"
        given = f", not {first['input']!r:.60}" if first["type"] != "extra_forbidden" else ""
        raise InvalidModel(
            f"{where}: {field}: {first['msg']}{given}",
            remedy=f"known fields: {', '.join(Declaration.model_fields)}",
        ) from error
