"""What this process and its machine have to do."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """Since the last look.

    Attributes:
        process_cores: cores that this process kept busy; 1 is one core.
        process_bytes: memory of this process that is resident.
        cpu_ratio: part of all cores that were busy, with whatever.
        memory_ratio: part of the machine's memory that is in use.
    """

    process_cores: float
    process_bytes: int
    cpu_ratio: float
    memory_ratio: float


class Machine:
    """Looks at them; each look covers the time since the one before. Blocking, well under 1 ms."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.read()

    def read(self) -> MachineLoad | None:
        """The load; ``None`` where the system does not say."""
        try:
            return MachineLoad(
                self._process.cpu_percent(None) / 100,
                int(self._process.memory_info().rss),
                psutil.cpu_percent(None) / 100,
                psutil.virtual_memory().percent / 100,
            )
        except (psutil.Error, OSError):
            return None
