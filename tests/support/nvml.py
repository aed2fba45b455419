"""NVML as ``pynvml`` has it, on a machine with two GPUs that are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """As pynvml has it."""


class FakeNvml:
    """Two GPUs; the second is a part of one, which does not say how busy it is.

    Attributes:
        lost: GPUs that do not answer.
        down: how often it was shut down.
        driver: whether there is a driver.
    """

    NVMLError = NVMLError

    def __init__(self) -> None:
        self.lost: set[int] = set()
        self.down = 0
        self.driver = True

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError("Driver Not Loaded")

    def nvmlShutdown(self) -> None:
        self.down += 1
        raise NVMLError("Uninitialized")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        if handle in self.lost:
            raise NVMLError("GPU is lost")
        return SimpleNamespace(used=10 + handle, total=100)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        if handle == 1:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=37)
