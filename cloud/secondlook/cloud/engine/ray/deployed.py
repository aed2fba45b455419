"""A release that runs elsewhere, as a backend here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from secondlook.cloud.engine.ray.messages import Described
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import Unavailable
from secondlook.shared.values import Detections


class Deployed:
    """A `Backend` that runs elsewhere, and is asked by request through ``handle``.

    Args:
        handle: of the application.
        told: what its first replica has loaded.
        close: says that the application is not needed here any more.
    """

    def __init__(self, handle: Any, told: Described, close: Callable[[], None]) -> None:
        self.handle = handle
        self.signature: Signature = told.signature
        self.device = f"ray, {told.device}"
        self.memory_bytes = told.memory_bytes
        self.detector = None if told.info is None else _Elsewhere(told.info)
        self._close = close

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Not to be had.

        Raises:
            Unavailable: always; it is asked through its handle.
        """
        raise Unavailable("a deployment is asked through its handle")

    def warm_up(self) -> None:
        """Its replicas have done that."""

    def close(self) -> None:
        """Let the application go; it is deleted when no other process needs it."""
        self._close()


class _Elsewhere:
    """A `Detector` that is only known here."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        raise Unavailable("a deployment is asked through its handle")

    def warm_up(self) -> None:
        """Its replicas have done that."""

    def close(self) -> None:
        """It is not open here."""
