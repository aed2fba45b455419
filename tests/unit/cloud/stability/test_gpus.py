from __future__ import annotations

import sys

import pytest
from support.nvml import FakeNvml

from secondlook.cloud.stability.gpus import GpuLoad, NoGpus, NvmlGpus, open_gpus


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
