"""The detector over any network: pixels in, boxes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.shared import geometry
from secondlook.shared.detect.heads import Head
from secondlook.shared.detect.heads.base import Floats, Output
from secondlook.shared.detect.input_format import InputBuffer, InputFormat
from secondlook.shared.detect.interface import SIZE_INPUT
from secondlook.shared.detect.network import Buffer, Network
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import InvalidInput, ModelFailure, Unavailable
from secondlook.shared.letterbox import Letterbox
from secondlook.shared.values import Detections
from secondlook.shared.values.frame import check_image

MAX_DETECTIONS = 300
"""Most boxes of one image, the best ones."""

SCORE_SLACK = 1e-3
"""A score may exceed 1 by rounding; by more, the network lacks its final sigmoid."""

FAR = np.float32(1e6)
"""Input pixels; a corner beyond it is cut to it before anything is computed from it."""


@dataclass(frozen=True, slots=True)
class StageTimings:
    """Where the last call of ``detect`` spent its time.

    Attributes:
        preprocess_s: scaling and converting the images into the input buffer, seconds.
        run_s: the network itself, seconds.
        postprocess_s: boxes from outputs: decoding, suppression, mapping back, seconds.
        bytes_written: bytes that preprocessing wrote, each pass counted.
    """

    preprocess_s: float = 0.0
    run_s: float = 0.0
    postprocess_s: float = 0.0
    bytes_written: int = 0


class NetworkDetector:
    """A `Detector` over a `Network`.

    Its input is allocated once, for the largest batch seen, and given to the network in place; a
    call allocates only the boxes it returns. Made by `load_detector` and `make_detector`.
    """

    def __init__(
        self,
        network: Network,
        info: ModelInfo,
        head: Head,
        form: InputFormat,
        *,
        fixed_batch: int | None,
        nms_iou: float,
    ) -> None:
        """Wrap a network.

        Args:
            network: what runs; closed by `close`.
            info: what is known about the model.
            head: reads its outputs.
            form: what its input wants.
            fixed_batch: the only batch size it takes; ``None`` where any up to ``info.max_batch``.
            nms_iou: of two boxes of a class that overlap by more than this, the weaker goes.
        """
        self._network: Network | None = network
        self._info = info
        self._head = head
        self._form = form
        self._outputs = [value.name for value in network.outputs]
        self._fixed_batch = fixed_batch
        self._nms_iou = nms_iou
        names = [value.name for value in network.inputs]
        self._size_input = SIZE_INPUT if SIZE_INPUT in names else None
        self._input_name = next(name for name in names if name != self._size_input)
        # The contract asks callers for one thread at a time; a caller that breaks it waits here
        # instead of reading another's pixels.
        self._lock = threading.Lock()
        self._allocate(fixed_batch or 1)
        self.stage_timings = StageTimings()

    @property
    def info(self) -> ModelInfo:
        """See `Detector.info`."""
        return self._info

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        """See `Detector.detect`.

        Raises:
            InvalidInput: not images, or ``min_score`` outside 0 to 1.
            ModelFailure: the network failed or gave NaN, a wrong shape or an impossible score.
            Unavailable: closed.
        """
        check_call(images, min_score)
        found: list[Detections] = []
        chunk = self._info.max_batch
        with self._lock:
            spent = _Stopwatch()
            for start in range(0, len(images), chunk):
                found += self._detect_chunk(images[start : start + chunk], min_score, spent)
            self.stage_timings = spent.timings()
        return found

    def prepare(self, image: Image) -> dict[str, Buffer]:
        """What the network would be fed with for one image, for tools that calibrate on it.

        Args:
            image: uint8 (h, w, 3) BGR.

        Returns:
            Every input by name, in memory of its own; a network of fixed batch gets the image in
            each row.

        Raises:
            InvalidInput: not an image.
        """
        check_image(image)
        rows = self._fixed_batch or 1
        with self._lock:
            for row in range(rows):
                self._buffer.write(row, image)
            return {name: array[:rows].copy() for name, array in self._feed.items()}

    def warm_up(self) -> None:
        """See `Detector.warm_up`."""
        self.detect([np.zeros((self._form.height, self._form.width, 3), np.uint8)])

    def close(self) -> None:
        """See `Detector.close`."""
        with self._lock:
            if self._network is not None:
                self._network.close()
            self._network = None

    def _detect_chunk(
        self, images: Sequence[Image], min_score: float, spent: _Stopwatch
    ) -> list[Detections]:
        if self._network is None:
            raise Unavailable(f"detector {self._info.name} is closed")
        started = time.perf_counter()
        batch = self._fixed_batch or len(images)
        if batch > len(self._buffer.array):
            self._allocate(batch)
        before = self._buffer.bytes_written
        places = [self._buffer.write(row, image) for row, image in enumerate(images)]
        spent.bytes_written += self._buffer.bytes_written - before
        written = time.perf_counter()
        try:
            outputs = self._network.run(self._feed, batch)
        except ModelFailure as error:
            raise self._failure(error.message) from error
        ran = time.perf_counter()
        self._check(outputs, batch)
        found = [
            self._boxes([output[row] for output in outputs], place, min_score)
            for row, place in enumerate(places)
        ]
        spent.preprocess_s += written - started
        spent.run_s += ran - written
        spent.postprocess_s += time.perf_counter() - ran
        return found

    def _allocate(self, batch: int) -> None:
        """Memory for ``batch`` images; smaller batches use its first rows."""
        self._buffer = InputBuffer(self._form, batch)
        self._feed: dict[str, Buffer] = {self._input_name: self._buffer.array}
        if self._size_input is not None:
            size = np.array([[self._form.width, self._form.height]], np.int64)
            self._feed[self._size_input] = np.repeat(size, batch, axis=0)

    def _check(self, outputs: Sequence[Output], batch: int) -> None:
        for name, output in zip(self._outputs, outputs, strict=True):
            if output.ndim == 0 or len(output) != batch:
                raise self._failure(f"gave {name} of shape {output.shape} for {batch} images")
            # The extremes carry NaN and infinity with them, and need no array in between.
            finite = output.size == 0 or bool(np.isfinite(output.min()) & np.isfinite(output.max()))
            if not finite:
                raise self._failure(f"gave numbers that are not finite in {name}")

    def _boxes(self, outputs: list[Output], place: Letterbox, min_score: float) -> Detections:
        try:
            # Absurd numbers overflow to infinity without a warning, and are cut below.
            with np.errstate(over="ignore", invalid="ignore"):
                candidates = self._head.candidates(outputs, min_score)
        except ModelFailure as error:
            raise self._failure(error.message) from error
        scores, classes = candidates.scores, candidates.classes
        if not len(scores):
            return Detections.empty(self._info.names)
        if scores.max() > 1 + SCORE_SLACK:
            raise self._failure(
                f"gave a score of {scores.max():.3g}; scores must lie between 0 and 1"
            )
        boxes = np.clip(candidates.boxes, -FAR, FAR)
        if np.isnan(boxes).any():
            raise self._failure("gave a box that is not finite")
        kept = self._order(boxes, scores, classes)
        boxes = place.to_source(boxes[kept])
        # What lies in the padding alone, or is inverted, has no area in the image.
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        kept = kept[real][:MAX_DETECTIONS]
        return Detections(
            boxes[real][:MAX_DETECTIONS],
            np.minimum(scores[kept], np.float32(1)),
            classes[kept],
            self._info.names,
        )

    def _order(
        self, boxes: Floats, scores: Floats, classes: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.intp]:
        """Indices of the candidates that stand, best score first."""
        if self._head.suppressed:
            return np.argsort(-scores, kind="stable")
        return geometry.suppress(boxes, scores, self._nms_iou, classes)

    def _failure(self, what: str) -> ModelFailure:
        return ModelFailure(f"model {self._info.name} ({self._info.version}) {what}")


def check_call(images: Sequence[Image], min_score: float) -> None:
    """Refuse arguments of `Detector.detect` that cannot be.

    Raises:
        InvalidInput: not images, or ``min_score`` outside 0 to 1.
    """
    if not 0 <= min_score <= 1:
        raise InvalidInput(f"min_score is {min_score}; 0 to 1 expected")
    for image in images:
        if not isinstance(image, np.ndarray):
            raise InvalidInput(f"image is a {type(image).__name__}; a uint8 array is expected")
        check_image(image)


@dataclass(slots=True)
class _Stopwatch:
    preprocess_s: float = 0.0
    run_s: float = 0.0
    postprocess_s: float = 0.0
    bytes_written: int = 0

    def timings(self) -> StageTimings:
        return StageTimings(self.preprocess_s, self.run_s, self.postprocess_s, self.bytes_written)
