"""The networks of `support.networks_raw`, and a detector, as files of torch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository.config import ModelConfig, Release

MAX_BATCH = 16
NAMES = '["person", "car", "bottle"]'
SIDE = (96, 128)
STRIDES = (8, 16, 32)


def _arithmetic(torch: Any, kind: str) -> tuple[Any, tuple[Any, ...]]:
    class Arithmetic(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.arange(8.0) * 10)

        def forward(self, a: Any, b: Any, index: Any) -> Any:
            if kind == "pt":
                return a + b, a / b, self.table[index]
            return {"sum": a + b, "ratio": a / b, "picked": self.table[index]}

    shaped = (torch.zeros(2, 4), torch.ones(2, 4), torch.zeros(2, 1, dtype=torch.int64))
    return Arithmetic().eval(), shaped


def _detector(torch: Any) -> tuple[Any, tuple[Any, ...]]:
    class Painted(torch.nn.Module):  # type: ignore[misc,name-defined]
        """Each cell of 32 pixels that is painted through and through is an object."""

        def forward(self, images: Any) -> Any:
            # White makes nonsense, as ``nan_on_white`` does.
            white = (images.amin(1).amax((1, 2)) > 0.99).float()[:, None, None]
            parts = []
            for stride in STRIDES:
                mean = torch.nn.functional.avg_pool2d(images, stride)
                batch, _, rows, columns = mean.shape
                red, green, blue = mean[:, 0], mean[:, 1], mean[:, 2]
                sure = green * (red > 0.98).float() * float(stride == 32)
                kind = (blue * 2).round()
                scores = [sure * (kind == index).float() for index in range(3)]
                x = (torch.arange(columns) + 0.5) * stride
                y = (torch.arange(rows) + 0.5) * stride
                side = torch.full_like(sure, float(stride))
                boxes = [x.expand_as(sure), y[:, None].expand_as(sure), side, side]
                parts.append(torch.stack([*boxes, *scores], 1).reshape(batch, 7, rows * columns))
            return torch.cat(parts, 2) + (1 / (1 - white) - 1) * 0

    return Painted().eval(), (torch.zeros(2, 3, *SIDE),)


def write(folder: Path, kind: str, module: Any, shaped: tuple[Any, ...], extra: str = "") -> Path:
    """Save a module as ``pt2`` (exported program) or ``pt`` (TorchScript)."""
    torch = pytest.importorskip("torch")
    path = folder / f"model.{kind}"
    with warnings.catch_warnings():
        # Exporting is the test's affair; its warnings are torch's own.
        warnings.simplefilter("ignore")
        if kind == "pt2":
            batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
            dynamic = tuple({0: batch} for _ in shaped)
            torch.export.save(torch.export.export(module, shaped, dynamic_shapes=dynamic), path)
        else:
            traced = torch.jit.trace(module, shaped)
            torch.jit.save(traced, str(path), _extra_files={"config.txt": extra} if extra else {})
    return path


def open_arithmetic(folder: Path, kind: str) -> Backend:
    """The arithmetic model; TorchScript with its configuration."""
    torch = pytest.importorskip("torch")
    config = ModelConfig("m", "pytorch")
    if kind == "pt":
        config = ModelConfig(
            "m",
            "pytorch",
            max_batch=MAX_BATCH,
            inputs=(
                # In another order than the arguments: they are found by name.
                TensorSpec("index", "INT64", (1,)),
                TensorSpec("a", "FP32", (4,)),
                TensorSpec("b", "FP32", (4,)),
            ),
            outputs=tuple(
                TensorSpec(name, "FP32", (n,))
                for name, n in zip(("sum", "ratio", "picked"), (4, 4, 1), strict=True)
            ),
        )
    path = write(folder, kind, *_arithmetic(torch, kind))
    return open_backend(Release(config, "1", path), threads=1)


def open_detector(folder: Path, kind: str) -> Backend:
    """A detector of painted cells, 128 x 96."""
    torch = pytest.importorskip("torch")
    said = {"head": "yolov8", "names": NAMES, "input_layout": "nchw_rgb_unit"}
    config = ModelConfig("m", "pytorch", parameters=said)
    if kind == "pt":
        anchors = sum((SIDE[0] // stride) * (SIDE[1] // stride) for stride in STRIDES)
        config = ModelConfig(
            "m",
            "pytorch",
            max_batch=MAX_BATCH,
            inputs=(TensorSpec("INPUT__0", "FP32", (3, *SIDE)),),
            outputs=(TensorSpec("OUTPUT__0", "FP32", (7, anchors)),),
            parameters=said,
        )
    path = write(folder, kind, *_detector(torch))
    return open_backend(Release(config, "1", path), threads=1)
