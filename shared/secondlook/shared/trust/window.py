"""The windows of a camera: frames in a row, audits under way, and why one may prove nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput
from secondlook.shared.trust.bounds import check_probability
from secondlook.shared.trust.certificate import Basis, Certificate, certify
from secondlook.shared.trust.counts import AuditCounts
from secondlook.shared.trust.settings import TrustSettings

MAX_ENDED = 256
"""Most windows that have ended and wait for audits; the oldest beyond that is forgotten."""


@dataclass(slots=True)
class Window:
    """Frames in a row under one gate, one model and one audit rate.

    Its end is set by the number of frames, by an outage, an alarm or a change: never by what its
    audits show, or a lucky run could be waited for.

    Attributes:
        number: of the window, from 1 on, since the keeper began.
        basis: gate and model of its frames.
        needs: frames after which it ends.
        rate: audit probability of its frames.
        started_s: capture time of its first frame, seconds since the Unix epoch.
        counts: frames, audits and misses.
        ended_s: capture time of its last frame; ``None`` while it is open.
        outstanding: audits whose outcome is awaited.
        lost: audits whose outcome never came.
        spoilt: why it proves nothing; empty where it may.
        stale: whether it says nothing about the camera as it is now.
    """

    number: int
    basis: Basis
    needs: int
    rate: float
    started_s: float
    counts: AuditCounts
    ended_s: float | None = None
    outstanding: int = 0
    lost: int = 0
    spoilt: str = ""
    stale: bool = False

    def spoil(self, reason: str) -> None:
        """It proves nothing; the first reason is kept."""
        self.spoilt = self.spoilt or reason

    def proves(self, settings: TrustSettings, camera: str) -> Certificate:
        """What it certifies about its camera, once it has ended and nothing of it is awaited."""
        assert self.ended_s is not None
        return certify(
            self.counts,
            alpha=settings.alpha,
            delta=settings.delta,
            basis=self.basis,
            cameras=(camera,),
            started_s=self.started_s,
            ended_s=self.ended_s,
        )

    def why_not(self, settings: TrustSettings) -> str:
        """Why that is no more than that sending everything is safe."""
        counts = self.counts
        missed = counts.misses[1] + counts.known_misses[1]
        return (
            f"{missed} of {counts.audits + counts.known_looks} frames looked at missed an object "
            f"even at threshold {counts.thresholds[1]:g}: not enough to promise "
            f"{settings.alpha:.2%}"
        )


@dataclass(frozen=True, slots=True)
class Pending:
    """An audit under way.

    Attributes:
        window: of the frame.
        probability: with which it was audited.
        tau: threshold in force at the frame.
    """

    window: Window
    probability: float
    tau: float


class WindowLedger:
    """The window that fills, those that wait for outcomes, and the audits under way.

    Args:
        settings: of trust.
        basis: gate and model in use.
    """

    def __init__(self, settings: TrustSettings, basis: Basis) -> None:
        self._settings = settings
        self._pending: dict[int, Pending] = {}
        self._ended: list[Window] = []
        self._last_sequence = -1
        self._number = 0
        self.window = self._new(basis, settings.audit_rate, 0.0)

    @property
    def ended(self) -> tuple[Window, ...]:
        """Windows that have ended and wait for outcomes, oldest first."""
        return tuple(self._ended)

    @property
    def pending(self) -> int:
        """Audits whose outcome is awaited."""
        return len(self._pending)

    def frame(
        self, sequence: int, at_s: float, probability: float, audited: bool, tau: float
    ) -> None:
        """Count a frame of the window that fills.

        Raises:
            InvalidInput: an argument makes no sense; nothing is counted.
        """
        check_probability(probability)
        if isinstance(sequence, bool) or not isinstance(sequence, int):
            raise InvalidInput(f"the number of a frame is {sequence!r}; a whole number expected")
        if sequence <= self._last_sequence:
            raise InvalidInput(f"frame {sequence} after frame {self._last_sequence}")
        if probability == 1 and not audited:
            raise InvalidInput("a frame that is audited with probability 1 is always audited")
        window = self.window
        window.counts.saw(probability)
        self._last_sequence = sequence
        if window.counts.frames == 1:
            window.started_s = at_s
        if audited:
            window.outstanding += 1
            self._pending[sequence] = Pending(window, probability, tau)
            if len(self._pending) > self._settings.max_pending:
                most = f"more than {self._settings.max_pending} waited for a verdict"
                self.lose(next(iter(self._pending)), most)

    def settle(self, sequence: int, lowest_risk: float) -> Pending | None:
        """The outcome of an audit is in; returns what was awaited, ``None`` where nothing was."""
        audit = self._pending.pop(sequence, None)
        if audit is not None:
            audit.window.counts.looked(audit.probability, lowest_risk)
            audit.window.outstanding -= 1
        return audit

    def lose(self, sequence: int, reason: str) -> bool:
        """The outcome of an audit will not come; it may well be a miss.

        Returns:
            Whether it was awaited.
        """
        audit = self._pending.pop(sequence, None)
        if audit is None:
            return False
        audit.window.outstanding -= 1
        audit.window.lost += 1
        audit.window.spoil(f"an audit was lost: {reason}")
        return True

    def excuse(self, sequence: int) -> bool:
        """A known frame was not looked at after all; returns whether that was awaited."""
        audit = self._pending.get(sequence)
        if audit is None or audit.probability < 1 or audit.window.rate == 1:
            return False
        del self._pending[sequence]
        audit.window.outstanding -= 1
        audit.window.counts.recount(audit.window.rate)
        return True

    def name(self, basis: Basis) -> None:
        """The model of all windows so far turns out to be this one."""
        for window in (*self._ended, self.window):
            window.basis = basis

    def end(self, basis: Basis, audit_rate: float, at_s: float) -> None:
        """End the window that fills, and begin one under this basis and rate."""
        window = self.window
        if window.counts.frames:
            window.ended_s = max(window.started_s, at_s)
            self._ended = [*self._ended[1 - MAX_ENDED :], window]
        self.window = self._new(basis, audit_rate, at_s)

    def resume(self, window: Window) -> None:
        """Go on with a window of before a restart; nothing was counted yet."""
        self.window, self._number = window, window.number

    def spoil_all(self, reason: str) -> None:
        """What is under way says nothing about what comes."""
        for window in (*self._ended, self.window):
            window.spoil(reason)
            window.stale = True

    def take_settled(self) -> Window | None:
        """The oldest window that has ended, if nothing of it is awaited."""
        if self._ended and self._ended[0].outstanding == 0:
            return self._ended.pop(0)
        return None

    def _new(self, basis: Basis, audit_rate: float, at_s: float) -> Window:
        self._number += 1
        settings = self._settings
        needs = frames_needed(settings, audit_rate)
        counts = AuditCounts(settings.thresholds)
        return Window(self._number, basis, needs, audit_rate, at_s, counts)


def frames_needed(settings: TrustSettings, audit_rate: float) -> int:
    """Frames of a window: fewer where audits are more frequent."""
    return max(1, math.ceil(settings.window_frames * settings.audit_rate / audit_rate))
