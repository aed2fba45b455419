"""Load and memory of NVIDIA GPUs, through NVML; nothing where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One GPU, now.

    Attributes:
        gpu: its index, as NVML counts.
        busy_ratio: part of the last moments in which a kernel ran; ``None`` where it does not say
            (of a part of a GPU, for example).
        used_bytes: memory in use, of all processes.
        total_bytes: memory there is.
    """

    gpu: str
    busy_ratio: float | None
    used_bytes: int
    total_bytes: int


class Gpus(Protocol):
    """Reads GPUs. Blocking."""

    def read(self) -> Sequence[GpuLoad]:
        """All of them."""
        ...

    def close(self) -> None:
        """Release the library. Safe to repeat."""
        ...


class NoGpus:
    """A machine without."""

    def read(self) -> Sequence[GpuLoad]:
        """See `Gpus.read`."""
        return ()

    def close(self) -> None:
        """See `Gpus.close`."""


class NvmlGpus:
    """See `Gpus`; a GPU that fails to answer is left out.

    Args:
        nvml: the module ``pynvml``, initialised.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._open = True
        self._handles = [
            nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
        ]

    def read(self) -> Sequence[GpuLoad]:
        """See `Gpus.read`."""
        loads = (self._load(index, handle) for index, handle in enumerate(self._handles))
        return [load for load in loads if load is not None]

    def close(self) -> None:
        """See `Gpus.close`."""
        if not self._open:
            return
        self._open = False
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError as error:
            _log.debug("NVML does not shut down", error=str(error))

    def _load(self, index: int, handle: Any) -> GpuLoad | None:
        nvml = self._nvml
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError:
            return None
        busy: float | None = None
        try:
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        except nvml.NVMLError:
            busy = None
        return GpuLoad(str(index), busy, int(memory.used), int(memory.total))


def open_gpus() -> Gpus:
    """The GPUs of this machine. Blocking, for up to a second where there is a driver."""
    nvml = _library()
    if nvml is None:
        return NoGpus()
    try:
        nvml.nvmlInit()
        return NvmlGpus(nvml)
    except nvml.NVMLError as error:
        _log.debug("no GPU", error=str(error))
        return NoGpus()


def _library() -> ModuleType | None:
    try:
        import pynvml
    except ImportError:
        return None
    module: ModuleType = pynvml
    return module
