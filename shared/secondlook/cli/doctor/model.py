"""A model: does it load, what is it, what does it run on, how long does it take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.result import CheckResult, ok, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.shared.detect import Detector
from secondlook.shared.detect.providers import AUTO, LADDER

_FRAME_PX = (640, 480)
_SHOWN_NAMES = 6
_REPEATS = 3


@dataclass(slots=True)
class ModelVisit:
    """One look at one model.

    Args:
        title: how it is called in the results, ``"edge model"``.
        load: makes the detector; blocking.
        providers: the execution providers that settings ask for, in order.
        timeout_s: longest wait at each step; loading a large network takes long.
    """

    title: str
    load: Callable[[], Detector]
    providers: tuple[str, ...] = (AUTO,)
    timeout_s: float = 60.0
    _detector: Detector | None = field(default=None, init=False)

    async def walk(self, report: Report) -> bool:
        """Check in order; returns whether none failed."""
        checks = [
            Check(f"{self.title}: loads", self._load, "it is still loading"),
            Check(f"{self.title}: classes", self._classes),
            Check(f"{self.title}: provider", self._provider),
            Check(f"{self.title}: inference", self._inference, "the network is still running"),
        ]
        try:
            return await run_chain(checks, self.timeout_s, report)
        finally:
            if self._detector is not None:
                self._detector.close()

    async def _load(self, name: str) -> CheckResult:
        started = time.monotonic()
        self._detector = await in_thread(self.load)
        info = self._detector.info
        return ok(
            name,
            f"{info.name} {info.version}, head {info.head}, {info.width}x{info.height}, "
            f"{time.monotonic() - started:.1f} s",
        )

    async def _classes(self, name: str) -> CheckResult:
        names = self._loaded.info.names
        shown = ", ".join(names[:_SHOWN_NAMES]) + (", ..." if len(names) > _SHOWN_NAMES else "")
        return ok(name, f"{len(names)}: {shown}")

    async def _provider(self, name: str) -> CheckResult:
        active = self._loaded.info.provider
        best = _best(self.providers)
        if best and best.lower() != active.lower():
            remedy = next((p.remedy for p in LADDER if p.name.lower() == best.lower()), "")
            return warn(
                name,
                f"{active} is active; {best} was wanted first and did not start",
                f"see the log of the load above; {remedy}",
            )
        return ok(name, f"{active} is active")

    async def _inference(self, name: str) -> CheckResult:
        seconds = await in_thread(self._time_it)
        width, height = _FRAME_PX
        return ok(name, f"{seconds * 1e3:.0f} ms for a grey frame of {width}x{height}")

    def _time_it(self) -> float:
        """Seconds of one detection, the best of a few after the first."""
        width, height = _FRAME_PX
        frame = np.full((height, width, 3), 114, np.uint8)
        self._loaded.warm_up()
        taken = []
        for _ in range(_REPEATS):
            started = time.monotonic()
            self._loaded.detect([frame])
            taken.append(time.monotonic() - started)
        return min(taken)

    @property
    def _loaded(self) -> Detector:
        assert self._detector is not None
        return self._detector


def _best(wanted: tuple[str, ...]) -> str:
    """The provider that should be active; empty where only loading can tell."""
    first = wanted[0] if wanted else AUTO
    if first.lower() != AUTO:
        return first
    from secondlook.shared.detect.runtime import ort

    offered = ort.get_available_providers()
    return next((rung.name for rung in LADDER if rung.engine in offered), "")
