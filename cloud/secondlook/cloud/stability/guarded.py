"""A backend, and its detector, behind a guard."""

from __future__ import annotations

from collections.abc import Sequence

from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.stability.guard import Guard
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo
from secondlook.shared.values import Detections


class GuardedBackend:
    """See `Backend`. While it is cut off, ``run`` raises `Unavailable` before anything runs.

    A call that hangs holds its thread until it returns: nothing can interrupt it. See `Guard`.

    Args:
        backend: what runs.
        guard: what counts its calls; several backends may share one.
    """

    def __init__(self, backend: Backend, guard: Guard) -> None:
        self._backend = backend
        self._guard = guard
        self._run = backend.run
        self._batched = backend.signature.max_batch > 0
        detector = backend.detector
        self._detector = None if detector is None else GuardedDetector(detector, guard)

    @property
    def guard(self) -> Guard:
        """What counts its calls."""
        return self._guard

    @property
    def signature(self) -> Signature:
        """See `Backend.signature`."""
        return self._backend.signature

    @property
    def device(self) -> str:
        """See `Backend.device`."""
        return self._backend.device

    @property
    def memory_bytes(self) -> int:
        """See `Backend.memory_bytes`."""
        return self._backend.memory_bytes

    @property
    def detector(self) -> Detector | None:
        """See `Backend.detector`."""
        return self._detector

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """See `Backend.run`."""
        # Spelt out: a context for each call costs as much as its counting.
        guard = self._guard
        number = guard.begin(self._rows(inputs))
        try:
            given = self._run(inputs, outputs)
        except BaseException as error:
            guard.end(number, error)
            raise
        guard.end(number)
        return given

    def warm_up(self) -> None:
        """See `Backend.warm_up`; not counted, it is slow by nature."""
        self._backend.warm_up()

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()

    def _rows(self, inputs: Tensors) -> int:
        if not self._batched:
            return 1
        for array in inputs.values():
            return max(1, len(array)) if array.ndim else 1
        return 1


class GuardedDetector:
    """See `Detector`. While it is cut off, ``detect`` raises `Unavailable` before anything runs.

    Args:
        detector: what runs.
        guard: what counts its calls.
    """

    def __init__(self, detector: Detector, guard: Guard) -> None:
        self._detector = detector
        self._guard = guard

    @property
    def info(self) -> ModelInfo:
        """See `Detector.info`."""
        return self._detector.info

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        """See `Detector.detect`."""
        with self._guard.call(max(1, len(images))):
            return self._detector.detect(images, min_score)

    def warm_up(self) -> None:
        """See `Detector.warm_up`; not counted, it is slow by nature."""
        self._detector.warm_up()

    def close(self) -> None:
        """See `Detector.close`."""
        self._detector.close()
