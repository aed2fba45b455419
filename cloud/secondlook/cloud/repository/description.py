"""What a model's file says about itself: kind, inputs, outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secondlook.cloud.repository.archive import describe_archive
from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.shared.detect.session import peek
from secondlook.shared.errors import InvalidModel

SUFFIXES: Mapping[str, str] = {".onnx": "onnxruntime", ".pt2": "pytorch", ".pt": "pytorch"}
"""Endings of models' files, and which backend runs them where none is named."""

_ONNX_TYPES: Mapping[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


def describe(file: Path) -> Description:
    """What ``file`` says about itself. Blocking; an ONNX file is loaded once for it.

    Raises:
        InvalidModel: truncated, corrupt, of an unknown kind, or it takes what is no tensor.
    """
    if file.suffix == ".onnx":
        return describe_session(file, peek(file))
    if file.suffix in (".pt", ".pt2"):
        return describe_archive(file)
    raise InvalidModel(
        f"{file} has no ending that is known", remedy=f"known are {', '.join(SUFFIXES)}"
    )


def describe_session(file: Path, session: Any) -> Description:
    """What an open session of ONNX Runtime says about the file.

    Raises:
        InvalidModel: it takes or gives what is no tensor.
    """
    try:
        metadata = dict(session.get_modelmeta().custom_metadata_map)
        inputs = _tensors(file, session.get_inputs(), "input")
        outputs = _tensors(file, session.get_outputs(), "output")
    except UnicodeDecodeError as error:
        raise InvalidModel(
            f"{file} names its parts in no known text encoding", remedy="export it again"
        ) from error
    return Description("onnxruntime", inputs, outputs, metadata)


def _tensors(file: Path, values: Sequence[Any], kind: str) -> tuple[FileTensor, ...]:
    tensors = []
    for value in values:
        dtype = _ONNX_TYPES.get(value.type)
        if dtype is None:
            raise InvalidModel(
                f"{file}: {kind} {value.name!r} is a {value.type}; only tensors are served",
                remedy="export it with tensors alone, as with zipmap=False",
            )
        shape = tuple(n if isinstance(n, int) and n > 0 else -1 for n in value.shape)
        # ONNX Runtime gives no axes for a number, and for an output of unknown axes alike.
        unknown = kind == "output" and not shape
        tensors.append(FileTensor(value.name, dtype, None if unknown else shape))
    return tuple(tensors)
