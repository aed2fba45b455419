from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from secondlook.cloud.stability.gpus import GpuLoad, NoGpus, NvmlGpus, open_gpus


class NVMLError(Exception):
    """As pynvml has it."""


class FakeNvml:
    """Two GPUs; the second is a part of one, which does not say how busy it is."""

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


def test_what_gpus_say_is_told() -> None:
    nvml = FakeNvml()
    gpus = NvmlGpus(nvml)
    assert gpus.read() == [GpuLoad("0", 0.37, 10, 100), GpuLoad("1", None, 11, 100)]
    nvml.lost = {0}
    assert gpus.read() == [GpuLoad("1", None, 11, 100)]
    gpus.close()
    gpus.close()
    assert nvml.down == 1


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    nvml.driver = False
    monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]
    gpus = open_gpus()
    assert isinstance(gpus, NoGpus)
    assert gpus.read() == ()
    gpus.close()
    nvml.driver = True
    assert len(open_gpus().read()) == 2


def test_without_the_library_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert isinstance(open_gpus(), NoGpus)
