"""A network in another precision, made by ONNX Runtime's own tools.

The end of a detector does not bear 8 bits: boxes in pixels and scores of 0 to 1 lie side by side in
one tensor, and one scale for both leaves no score at all. So everything from the last layers with
weights to the outputs keeps the precision it has. Found in the graph itself, from the outputs
backwards, it fits any head.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from secondlook.shared.detect.network import Buffer
from secondlook.shared.detect.runtime import ort
from secondlook.shared.errors import InvalidModel, MissingDependency

try:
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from onnxruntime.transformers.float16 import convert_float_to_float16
except ModuleNotFoundError as error:
    raise MissingDependency(error.name or "onnx", "quantize") from error

PER_CHANNEL_OPSET = 13
"""From this opset on the weights of each channel can have a scale of their own."""

TARGET_OPSET = 17

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that do the work, and bear 8 bits."""


def tools() -> Mapping[str, str]:
    """The libraries that make variants, and their versions."""
    return {"onnx": version("onnx"), "onnxruntime": str(ort.__version__)}


def write_int8(
    base: Path,
    target: Path,
    folder: Path,
    feeds: Sequence[Mapping[str, Buffer]],
    on_picture: Callable[[int], None],
) -> int:
    """Write a network with weights and activations of 8 bits (QDQ, static, per channel).

    Args:
        base: the network in its own precision.
        target: where to write.
        folder: for what lies in between.
        feeds: what the network is fed with for each picture to calibrate on.
        on_picture: told how many of them were looked at.

    Returns:
        How many nodes were left as they were.

    Raises:
        InvalidModel: ONNX Runtime's tools cannot do it.
    """
    prepared = folder / "prepared.onnx"
    with _mapped(base):
        quant_pre_process(_of_opset(base, folder), prepared, skip_symbolic_shape=True)
        model = _named(onnx.load(str(prepared)))
        onnx.save(model, str(prepared))
        kept = decoding_nodes(model)
        quantize_static(
            prepared,
            target,
            _Feeds(feeds, on_picture),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            # The mean of each picture's extremes, not the extremes of all: one odd picture would
            # widen every range (F1 0.977 against 0.955 for YOLOv8s, 0.995 against 0.990 for ours).
            extra_options={"CalibMovingAverage": True},
        )
        _keep_metadata(base, target)
    return len(kept)


def write_fp16(base: Path, target: Path) -> int:
    """Write a network in half precision; inputs and outputs keep their types.

    Args:
        base: the network in its own precision.
        target: where to write.

    Returns:
        How many nodes were left as they were.

    Raises:
        InvalidModel: the tools cannot do it.
    """
    with _mapped(base):
        model = _named(onnx.load(str(base)))
        kept = decoding_nodes(model)
        halved = convert_float_to_float16(model, keep_io_types=True, node_block_list=kept)
        onnx.save(halved, str(target))
        _keep_metadata(base, target)
    return len(kept)


def decoding_nodes(model: Any) -> list[str]:
    """Names of the nodes that read boxes and scores out of what the last weighted layers give.

    Found from the outputs backwards: everything up to and including the first weighted operator on
    each way.

    Args:
        model: an ``onnx.ModelProto`` whose nodes all have names.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    waiting = [output.name for output in model.graph.output]
    found: set[str] = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in WEIGHTED:
            waiting += node.input
    return sorted(found)


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """What the network is calibrated on, one picture after the other."""

    def __init__(
        self, feeds: Sequence[Mapping[str, Buffer]], on_picture: Callable[[int], None]
    ) -> None:
        self._feeds = feeds
        self._next = 0
        self._on_picture = on_picture

    def get_next(self) -> Mapping[str, Buffer] | None:
        """The next one; ``None`` after the last."""
        if self._next == len(self._feeds):
            return None
        self._next += 1
        self._on_picture(self._next)
        return self._feeds[self._next - 1]


def _of_opset(base: Path, folder: Path) -> Path:
    """The file, or one in ``folder`` where its opset knows no scale per channel."""
    model = onnx.load(str(base))
    known = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if not known or known[0] >= PER_CHANNEL_OPSET:
        return base
    converted = folder / "converted.onnx"
    onnx.save(version_converter.convert_version(model, TARGET_OPSET), str(converted))
    return converted


def _named(model: Any) -> Any:
    """The model, each node with a name of its own: the tools tell nodes apart by it."""
    taken: set[str] = set()
    for place, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{place}_of_{len(model.graph.node)}"
        taken.add(node.name)
    return model


def _keep_metadata(base: Path, target: Path) -> None:
    """Class names and the like, which the tools may drop."""
    said = onnx.load(str(base), load_external_data=False).metadata_props
    model = onnx.load(str(target))
    known = {entry.key for entry in model.metadata_props}
    model.metadata_props.extend(entry for entry in said if entry.key not in known)
    onnx.save(model, str(target))


@contextlib.contextmanager
def _mapped(base: Path) -> Iterator[None]:
    """Errors of the tools as ours; their log, which advises on how to call them, is silent."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # the tools share no base of errors, and fail in many ways
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise InvalidModel(
            f"{base} cannot be made smaller: {reason}",
            remedy="export it again, with opset 17 and plain float32",
        ) from error
    finally:
        root.setLevel(before)
