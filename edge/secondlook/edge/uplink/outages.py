"""When the cloud could not be asked: audits of such a time are missing, so it is not certified."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)
MAX_OUTAGES = 256
"""Outages that are remembered; then the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which nothing could be asked.

    Attributes:
        reason: why, in a word or two.
        good_s: when the last question before it was answered, or the process started: from then on
            nothing is known to have been answered. Monotonic seconds.
        began_s: when it was noticed, monotonic seconds.
        began_at: the same, seconds since the Unix epoch.
        ended_s: when questions could be asked again; ``None`` while it lasts.
    """

    reason: str
    good_s: float
    began_s: float
    began_at: float
    ended_s: float | None = None


class OutageLog:
    """Outages, oldest first. Not safe for concurrent use; time is passed in.

    Args:
        now_s: monotonic time, seconds.
    """

    def __init__(self, now_s: float) -> None:
        self._past: deque[Outage] = deque(maxlen=MAX_OUTAGES)
        self._good_s = now_s
        self.current: Outage | None = None

    @property
    def all(self) -> tuple[Outage, ...]:
        """Those that are remembered, the present one last."""
        return (*self._past, self.current) if self.current else tuple(self._past)

    def during(self, since_s: float, until_s: float) -> tuple[Outage, ...]:
        """Those that touch a window: it cannot be certified where there is any."""
        return tuple(
            one
            for one in self.all
            if one.good_s <= until_s and (one.ended_s is None or one.ended_s >= since_s)
        )

    def answered(self, now_s: float) -> None:
        """A question was answered."""
        self._good_s = now_s

    def note(self, reason: str, now_s: float, wall_s: float) -> None:
        """How it is now.

        Args:
            reason: why nothing can be asked; empty where it can.
            now_s: monotonic time, seconds.
            wall_s: seconds since the Unix epoch.
        """
        if reason and self.current is None:
            self.current = Outage(reason, min(self._good_s, now_s), now_s, wall_s)
            _log.warning("outage: the cloud cannot be asked", reason=reason)
        elif not reason and self.current is not None:
            ended = replace(self.current, ended_s=now_s)
            self._past.append(ended)
            self.current = None
            _log.info("outage over", lasted_s=round(now_s - ended.began_s, 2), reason=ended.reason)
