"""A checkpoint of ultralytics as a detector: its own preparation of pictures, its own suppression.

The one place that imports ultralytics. It is held to what a service can bear: it reports to nobody
(``YOLO_OFFLINE``), installs nothing, and unpickles the classes of networks alone
(``ULTRALYTICS_SAFE_LOAD``, from ultralytics 8.4 on). Whoever runs the service can say otherwise in
the environment.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.cloud.backends.torch_program import reason_of
from secondlook.shared.detect.network_detector import MAX_DETECTIONS, check_call
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import (
    InvalidModel,
    MissingDependency,
    ModelFailure,
    Unavailable,
)
from secondlook.shared.values import Detections

os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")

try:
    import torch
    from ultralytics import YOLO
except ModuleNotFoundError as error:
    raise MissingDependency(error.name or "ultralytics", "torch") from error

LEAST_SCORE = 1e-4
"""Below it a score says nothing, and suppression would look at every cell of the picture."""


class UltralyticsDetector:
    """See `Detector`. A batch is one forward pass over pictures of one size.

    Args:
        model: an ``ultralytics.YOLO``.
        info: what is known about it; ``max_batch`` is the most images of one pass.
        device: as torch names it.
        threads: threads of one operator on the CPU; 0 leaves them to torch.
        nms_iou: of two boxes of a class that overlap by more than this, the weaker goes.
    """

    def __init__(
        self, model: Any, info: ModelInfo, device: str, threads: int, nms_iou: float
    ) -> None:
        self._model: Any = model
        self._info = info
        self._threads = threads
        self._nonsense = False
        self._watched: Any = None
        self._options = {
            "imgsz": [info.height, info.width],
            "iou": nms_iou,
            "max_det": MAX_DETECTIONS,
            "device": device,
            "verbose": False,
            # Otherwise the size of the input, and with it the boxes, depend on the neighbours.
            "rect": False,
            "save": False,
        }
        self._lock = threading.Lock()

    @property
    def info(self) -> ModelInfo:
        """See `Detector.info`."""
        return self._info

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        """See `Detector.detect`.

        Raises:
            InvalidInput: not images, or ``min_score`` outside 0 to 1.
            ModelFailure: the network failed or gave NaN or an impossible box.
            Unavailable: closed.
        """
        check_call(images, min_score)
        found: list[Detections] = []
        chunk = self._info.max_batch
        with self._lock:
            if self._model is None:
                raise Unavailable(f"detector {self._info.name} is closed")
            for start in range(0, len(images), chunk):
                found += self._pass(images[start : start + chunk], min_score)
        return found

    def warm_up(self) -> None:
        """See `Detector.warm_up`."""
        self.detect([np.zeros((self._info.height, self._info.width, 3), np.uint8)])

    def close(self) -> None:
        """See `Detector.close`."""
        with self._lock:
            self._model = self._watched = None

    def _pass(self, images: Sequence[Image], min_score: float) -> list[Detections]:
        # torch warns of memory that is not writable, though nothing writes to it.
        whole = [np.require(image, requirements=["C", "W"]) for image in images]
        self._nonsense = False
        if self._threads:
            torch.set_num_threads(self._threads)
        try:
            results = self._predict(whole, min_score)
            if self._watch():
                results = self._predict(whole, min_score)
            given = [self._read(result) for result in results]
        except Exception as error:  # a checkpoint brings code that raises anything
            raise self._failure(f"could not run: {reason_of(error)}") from error
        if self._nonsense:
            raise self._failure("gave numbers that are not finite")
        if len(given) != len(images):
            raise self._failure(f"answered {len(given)} of {len(images)} images")
        return [
            self._detections(*boxes, image, min_score)
            for boxes, image in zip(given, images, strict=True)
        ]

    def _predict(self, images: Sequence[Image], min_score: float) -> Any:
        return self._model.predict(images, conf=max(min_score, LEAST_SCORE), **self._options)

    def _watch(self) -> bool:
        """Look at what the network gives: suppression passes NaN over in silence.

        Returns:
            Whether this is another network than the one that was watched, as the first always is.
        """
        network = self._model.predictor.model
        if network is self._watched:
            return False
        network.register_forward_hook(self._look)
        self._watched = network
        return True

    def _look(self, _module: Any, _inputs: Any, given: Any) -> None:
        first = given[0] if isinstance(given, list | tuple) else given
        if isinstance(first, torch.Tensor) and not bool(torch.isfinite(first).all()):
            self._nonsense = True

    @staticmethod
    def _read(result: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        boxes = result.boxes
        return (
            boxes.xyxy.cpu().numpy().astype(np.float32).reshape(-1, 4),
            boxes.conf.cpu().numpy().astype(np.float32),
            boxes.cls.cpu().numpy().astype(np.int32),
        )

    def _detections(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        image: Image,
        min_score: float,
    ) -> Detections:
        finite = np.isfinite(boxes).all() and np.isfinite(scores).all()
        known = ((classes >= 0) & (classes < len(self._info.names))).all()
        if not finite or not known:
            raise self._failure("gave a box, a score or a class that cannot be")
        height, width = image.shape[:2]
        boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
        order = np.argsort(-scores, kind="stable")
        area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        kept = order[(area & (scores >= min_score))[order]]
        return Detections(
            boxes[kept], np.minimum(scores[kept], np.float32(1)), classes[kept], self._info.names
        )

    def _failure(self, what: str) -> ModelFailure:
        return ModelFailure(f"model {self._info.name} ({self._info.version}) {what}")


def load_checkpoint(file: Path) -> Any:
    """An ``ultralytics.YOLO`` of a checkpoint.

    Raises:
        InvalidModel: it cannot be loaded, or is no detector.
    """
    try:
        model = YOLO(str(file.resolve()))
        task = model.task
    except MemoryError:
        raise
    except Exception as error:  # what unpickling a hostile file can raise has no end
        raise InvalidModel(
            f"model {file} cannot be loaded: {reason_of(error)}",
            remedy="save it again with this version of ultralytics",
        ) from error
    if task != "detect":
        raise InvalidModel(
            f"model {file} is for {task[:40]!r}; only detectors are understood",
            remedy="serve a detection checkpoint",
        )
    return model
