"""Ends windows, judges them in their order, and writes down what came of them."""

from __future__ import annotations

from secondlook.shared.memory.kinds.trust import TrustWindow
from secondlook.shared.trust.certificate import Basis, Certificate
from secondlook.shared.trust.records import as_record, window_key
from secondlook.shared.trust.settings import TrustSettings
from secondlook.shared.trust.stance import Stance
from secondlook.shared.trust.status import TrustStatus
from secondlook.shared.trust.window import MAX_ENDED, Window, WindowLedger


class Judge:
    """Of one camera. Pure: it is told what happened, and when.

    Args:
        camera: id of the camera.
        settings: of trust.
        basis: gate and model in use.

    Attributes:
        basis: gate and model in use.
        stance: state, threshold and audit rate, which follow from what is judged.
        ledger: the windows.
        now_s: wall clock, seconds since the Unix epoch.
        obstacle: why nothing can be promised now; empty where nothing stands in the way.
    """

    def __init__(self, camera: str, settings: TrustSettings, basis: Basis) -> None:
        self._camera = camera
        self._settings = settings
        self._judged: list[tuple[str, TrustWindow]] = []
        self.basis = basis
        self.stance = Stance(camera, settings)
        self.ledger = WindowLedger(settings, basis)
        self.now_s = 0.0
        self.obstacle = ""

    @property
    def status(self) -> TrustStatus:
        """How the camera stands."""
        stance, window = self.stance, self.ledger.window
        return TrustStatus(
            state=stance.state,
            reasons=stance.reasons,
            tau=stance.tau,
            audit_rate=stance.audit_rate,
            certificate=stance.certificate,
            frames=window.counts.frames,
            window_frames=window.needs,
            audits=window.counts.audits,
            misses=window.counts.misses_at(stance.tau),
            pending=self.ledger.pending,
            lost=window.lost,
            alarms=stance.alarms,
            e_value=stance.monitor.e_value,
        )

    def begin_anew(self, reason: str) -> None:
        """What is under way says nothing about what comes."""
        self.ledger.spoil_all(reason)
        self.end_window()

    def end_window(self) -> None:
        """The window that fills is over; the next one begins."""
        self.ledger.end(self.basis, self.stance.audit_rate, self.now_s)
        if self.obstacle:
            self.ledger.window.spoil(self.obstacle)
        self.judge()

    def judge(self) -> None:
        """Judge the windows that are settled, in their order."""
        while (window := self.ledger.take_settled()) is not None:
            certificate = self._prove(window)
            record = as_record(window, self._settings, self.status, self.now_s, certificate)
            self.note(window_key(window.started_s, window.number), record)

    def certified(self, certificate: Certificate) -> None:
        """A window, or those of a site, proved a threshold above 0."""
        rate = self.stance.audit_rate
        self.stance.certified(certificate, max(self.now_s, certificate.ended_s))
        self._keep_one_rate(rate)

    def note(self, key: str, record: TrustWindow) -> None:
        """A window is judged; its record is to be written down."""
        self._judged = [*self._judged[1 - MAX_ENDED :], (key, record)]

    def take_windows(self) -> list[tuple[str, TrustWindow]]:
        """Keys and records of the windows judged since the last call, oldest first."""
        judged, self._judged = self._judged, []
        return judged

    def as_it_stands(self, window: Window) -> tuple[str, TrustWindow]:
        """Key and record of a window that is not judged yet: as if it were open."""
        record = as_record(window, self._settings, self.status, self.now_s)
        if window.ended_s is not None:
            record = record.model_copy(update={"ended_s": None})
        return window_key(window.started_s, window.number), record

    def _prove(self, window: Window) -> Certificate | None:
        """What a window certifies; ``None`` where it is spoilt."""
        if window.spoilt or window.lost:
            if not window.stale:
                self.stance.spoilt(window.spoilt, self.now_s)
            return None
        certificate = window.proves(self._settings, self._camera)
        if self.obstacle:
            return certificate  # it is about frames before; now nothing can be asked
        if certificate.sends_all:
            rate = self.stance.audit_rate
            self.stance.unproved(certificate, window.why_not(self._settings), self.now_s)
            self._keep_one_rate(rate)
        else:
            self.certified(certificate)
        return certificate

    def _keep_one_rate(self, before: float) -> None:
        """A window under two audit rates could not be pooled: its few frames are let go."""
        rate = self.stance.audit_rate
        if rate != before:
            window = self.ledger.window
            window.spoil("the audit rate changed")
            self.ledger.end(self.basis, rate, self.now_s)
            window.stale = True
