"""Checkpoints of ultralytics (``.pt``): detectors alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secondlook.cloud.backends.checks import described_for
from secondlook.cloud.backends.declared import read_declared
from secondlook.cloud.backends.torch_program import find_device
from secondlook.cloud.backends.ultralytics_detector import UltralyticsDetector, load_checkpoint
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.repository.complete import DERIVED_MAX_BATCH
from secondlook.cloud.repository.config import Release
from secondlook.shared.detect.class_names import check_names
from secondlook.shared.detect.protocol import Detector, ModelInfo
from secondlook.shared.detect.session import file_digest
from secondlook.shared.errors import InvalidInput, InvalidModel, ModelFailure, Unavailable

SIZE = 640
"""Side of the input where neither the checkpoint nor a parameter says another, pixels."""


class UltralyticsBackend:
    """See `Backend`. It has no raw tensors: `run` refuses.

    Args:
        detector: what runs.
        device: where.
        memory_bytes: what its weights take.
    """

    def __init__(self, detector: UltralyticsDetector, device: str, memory_bytes: int) -> None:
        self.detector: Detector | None = detector
        self.device = device
        self.memory_bytes = memory_bytes
        self.signature = Signature((), (), detector.info.max_batch)
        self._boxes = detector
        self._closed = False

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Refuse.

        Raises:
            InvalidInput: always; export the network to ask it for tensors.
            Unavailable: closed.
        """
        name = self._boxes.info.name
        if self._closed:
            raise Unavailable(f"model {name} is closed")
        raise InvalidInput(
            f"model {name} is a checkpoint of ultralytics: it takes images and gives boxes, "
            "and has no raw tensors",
            remedy="export it to ONNX or with torch.export, and serve that",
        )

    def warm_up(self) -> None:
        """See `Backend.warm_up`."""
        self._boxes.warm_up()

    def close(self) -> None:
        """See `Backend.close`."""
        self._closed = True
        self._boxes.close()


def open_ultralytics(
    release: Release, *, kind: str, device: int, threads: int
) -> UltralyticsBackend:
    """Load a checkpoint.

    Args:
        release: what to load; ``parameters`` may say ``size`` and ``nms_iou``.
        kind: ``auto``, ``cpu`` or ``gpu``.
        device: index of the GPU.
        threads: threads of one operator on the CPU; 0 leaves them to torch.

    Raises:
        InvalidModel: the file is missing or broken, or is no detector.
        InvalidConfig: there is no such device; a parameter that cannot be.
    """
    file, config = release.file, release.config
    digest = release.digest or file_digest(file)
    described_for(file, "ultralytics")
    declared = read_declared(config)
    if declared.task == "raw" or config.inputs:
        raise InvalidModel(
            f"model {file} is a checkpoint of ultralytics, which has no raw tensors",
            remedy="take input, output and parameters[task] out of config.pbtxt",
        )
    where = find_device(kind, device)
    model = load_checkpoint(file)
    width, height = declared.said.size or _size(model.overrides)
    names = declared.said.names or check_names(
        [model.names[index] for index in sorted(model.names)], f"class list of {file}"
    )
    info = ModelInfo(
        name=config.name,
        version=release.version or f"sha256:{digest[:12]}",
        names=names,
        width=width,
        height=height,
        head="ultralytics",
        provider=where.type.upper(),
        max_batch=config.max_batch or DERIVED_MAX_BATCH,
    )
    detector = UltralyticsDetector(model, info, str(where), threads, declared.nms_iou)
    try:
        detector.warm_up()
    except ModelFailure as error:
        raise InvalidModel(
            f"model {file}: {error.message}", remedy="save it again, in full precision"
        ) from error
    weights = sum(p.numel() * p.element_size() for p in model.model.parameters())
    return UltralyticsBackend(detector, str(where).upper(), weights)


def _size(overrides: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the input that a checkpoint was trained with."""
    said = overrides.get("imgsz", SIZE)
    if isinstance(said, list | tuple) and len(said) == 2:
        height, width = said
    else:
        height = width = said[0] if isinstance(said, list | tuple) else said
    return int(width), int(height)
