"""Keeps the promise of one camera: windows, audits, certificates, the monitor."""

from __future__ import annotations

import math
from collections.abc import Mapping

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds.trust import TrustWindow
from secondlook.shared.trust.certificate import UNKNOWN, Basis, Certificate
from secondlook.shared.trust.counts import check_lowest_risk
from secondlook.shared.trust.judge import Judge
from secondlook.shared.trust.records import newest_certificate
from secondlook.shared.trust.resuming import cut_off, resumed
from secondlook.shared.trust.settings import TrustSettings
from secondlook.shared.trust.status import TrustChange, TrustState, TrustStatus


class TrustKeeper:
    """State machine of one camera's trust. Pure: no clock, no I/O, no randomness.

    How a pipeline drives it, frame by frame::

        audited = coin.audits(sequence, keeper.audit_rate)             # never by content
        keeper.frame(sequence, captured_at_s, probability=keeper.audit_rate, audited=audited)
        ... ask about candidates of risk >= keeper.tau; where ``audited``, send the whole frame
        keeper.outcome(sequence, lowest_risk)      # the verdict on the whole frame is in
        keeper.lost(sequence, "no verdict")        # or it never comes

    The *lowest risk* of an audited frame, computed by `secondlook.shared.trust.lowest_risk`: take
    what would have been published had nothing on this frame been asked, match it with the heavy
    model's objects (IoU from 0.5, class); each object that it misses has the risk of the candidate
    that covers it, 0 where none does; the lowest of these counts, ``math.inf`` where nothing is
    missed. It must not depend on what was asked: an object that was missed and asked about still
    counts, with the risk of its candidate. The answer to an audit enters the memory only after it
    has been scored.

    A frame that is looked at whole in any case (a key frame, a new background) has probability 1
    and ``audited=True``; where that comes to nothing, and the coin had not chosen it either, it is
    `excuse`d.

    `link_down`/`link_up`, `infeasible`/`feasible` and `changed` tell what else happens. Read `tau`,
    `audit_rate` and `status` before each frame; `take_changes` are events for the log (see
    `TrustMeter`), `take_windows` and now and then `snapshot` are records to write down, for people,
    for the site's certificate (`adopt`) and for a restart (`recall`).

    What a certificate says holds for the frames of its window. For thresholds above the one that
    was in force it takes for granted that asking less changes nothing about the frames after; the
    next window, and the monitor meanwhile, look at the threshold that is really in force.

    Not safe for use by several threads at once.

    Args:
        camera: id of the camera.
        settings: of trust.
        basis: gate and model in use; the model may be `UNKNOWN` until its first verdict.

    Raises:
        InvalidInput: without audits there is nothing to keep.
    """

    def __init__(self, camera: str, settings: TrustSettings, basis: Basis) -> None:
        if settings.audit_rate == 0:
            raise InvalidInput("trust.audit_rate is 0: without audits nothing can be promised")
        self.camera = camera
        self._settings = settings
        self._judge = Judge(camera, settings, basis)
        self._stance = self._judge.stance
        self._ledger = self._judge.ledger
        self._day_s: float | None = None
        self._down = self._short = ""

    @property
    def tau(self) -> float:
        """Candidates of this risk or more are asked about; 0: everything is sent."""
        return self._stance.tau

    @property
    def demanded(self) -> float:
        """Candidates of this risk or more are to be asked about at any price; infinite: none are.

        None are where the settings do not enforce the promise, and none where there is nothing to
        keep yet: a threshold that only follows the losses must not flood a budget.
        """
        settings = self._settings
        if settings.enforce and (self._stance.watched or settings.without == "send_all"):
            return self.tau
        return math.inf

    @property
    def audit_rate(self) -> float:
        """Probability with which the next frame is to be audited."""
        return self._stance.audit_rate

    @property
    def basis(self) -> Basis:
        """Gate and model in use."""
        return self._judge.basis

    @property
    def status(self) -> TrustStatus:
        """How the camera stands."""
        return self._judge.status

    def frame(self, sequence: int, at_s: float, *, probability: float, audited: bool) -> None:
        """A frame is answered.

        Args:
            sequence: its number; grows from frame to frame.
            at_s: its capture time, wall clock, seconds since the Unix epoch.
            probability: with which it could be audited: `audit_rate`, or 1.
            audited: whether it is.

        Raises:
            InvalidInput: an argument makes no sense; nothing is counted.
        """
        self._at(at_s)
        self._ledger.frame(sequence, at_s, probability, audited, self.tau)
        window = self._ledger.window
        if window.counts.frames >= window.needs:
            self._judge.end_window()

    def outcome(self, sequence: int, lowest_risk: float) -> bool:
        """The verdict on an audited frame is in.

        Args:
            sequence: of the frame.
            lowest_risk: 0 to 1; infinite where nothing was missed. See the class.

        Returns:
            Whether it was awaited; a second one, or one of a frame that was given up, is not.

        Raises:
            InvalidInput: NaN, negative, or finite and above 1; the audit is still awaited.
        """
        risk = check_lowest_risk(lowest_risk)
        audit = self._ledger.settle(sequence, risk)
        if audit is None:
            return False
        # What a coin did not choose is no sample; where all frames are audited, it is all of them.
        sampled = audit.probability < 1 or self.audit_rate == 1
        if sampled and not audit.window.stale:
            lost = risk < audit.tau
            if self._stance.audited(lost, audit.probability, self._judge.now_s):
                self._judge.begin_anew("too many losses: alarm")
        self._judge.judge()
        return True

    def lost(self, sequence: int, reason: str) -> bool:
        """An audit will get no verdict: its window proves nothing. Returns whether it waited."""
        found = self._ledger.lose(sequence, reason)
        self._judge.judge()
        return found

    def excuse(self, sequence: int) -> bool:
        """A frame of probability 1 was not looked at after all, and no coin had chosen it.

        It counts as a frame that the coin passed over: whether it was looked at may depend on its
        content, for the coin does not. One that the coin had chosen is `lost`.

        Returns:
            Whether it was awaited.
        """
        found = self._ledger.excuse(sequence)
        self._judge.judge()
        return found

    def link_down(self, at_s: float, reason: str) -> None:
        """The cloud cannot be asked: the window is uncertified. Safe to repeat.

        Audits may still be taken, kept, and sent later.
        """
        self._at(at_s)
        self._down = self._down or reason or "the cloud was away"
        self._hinder()
        self._ledger.window.spoil(self._down)
        self._stance.spoilt(self._down, at_s)

    def link_up(self, at_s: float) -> None:
        """The cloud can be asked again: a new window begins. Safe to repeat."""
        self._at(at_s)
        if self._down:
            self._down = ""
            self._hinder()
            self._stance.blocked_s = at_s
            self._judge.end_window()

    def infeasible(self, at_s: float, numbers: str) -> None:
        """The budget does not suffice for the threshold in force; ``numbers`` say by how much.

        The window is uncertified. Safe to repeat, with newer numbers.
        """
        self._at(at_s)
        self._short = numbers or "the budget does not suffice"
        self._hinder()
        self._ledger.window.spoil(f"budget: {self._short}")
        self._stance.infeasible(self._short, at_s)

    def feasible(self, at_s: float) -> None:
        """The budget suffices again: a new window begins. Safe to repeat."""
        self._at(at_s)
        if self._short:
            short, self._short = self._short, ""
            self._hinder()
            self._stance.feasible(f"budget: {short}", at_s)
            self._judge.end_window()

    def changed(self, basis: Basis, at_s: float) -> None:
        """Gate, calibrator or model may have changed; where they have, the certificate is void."""
        self._at(at_s)
        before = self._judge.basis
        difference = before.differs(basis)
        if difference and before.model == UNKNOWN and before.gate == basis.gate:
            # The first verdict: nothing has been measured with any other model.
            self._judge.basis = basis
            self._ledger.name(basis)
        elif difference:
            self._judge.basis = basis
            self._stance.voided(difference, at_s)
            self._judge.begin_anew(difference)

    def recalibrated(self, at_s: float) -> None:
        """The same gate corrects its probabilities otherwise: what was proved is void.

        The gate keeps its name, so that cameras that are calibrated each by itself can still be
        certified together.
        """
        self._at(at_s)
        reason = "the calibration of the gate changed"
        self._stance.voided(reason, at_s)
        self._judge.begin_anew(reason)

    def adopt(self, certificate: Certificate) -> bool:
        """Take over the certificate of the site, where it is about this camera as it is now.

        Returns:
            Whether it was: not where it rests on another gate or model, on a weaker promise, on
            frames before the last alarm, outage or change, or not on this camera's frames; nor
            where the camera has one of its own.
        """
        usable = (
            not self._judge.obstacle
            and not certificate.basis.differs(self._judge.basis)
            and self._stance.welcomes(certificate, self._judge.now_s)
        )
        if usable:
            self._judge.certified(certificate)
        return usable

    def recall(self, records: Mapping[str, TrustWindow], at_s: float) -> bool:
        """After a restart: take up what was certified before, and the window that was open.

        Call it before the first frame. What was spoilt before, by an alarm or otherwise, keeps a
        site's certificate that rests on those frames from being taken over. A window whose audits
        were under way is uncertified, and so is the camera, as if it had gone on.

        Args:
            records: windows of this camera, by their keys.
            at_s: wall clock now.

        Returns:
            Whether there is such a certificate: of the same gate, model and promise, not older than
            ``remember_s``, and still standing when the newest record was written.
        """
        self._at(at_s)
        known = {key: record for key, record in records.items() if record.at_s <= at_s}
        spoilt = [r for r in known.values() if r.spoilt or r.state == TrustState.ALARM.value]
        ends = [r.at_s if r.ended_s is None else r.ended_s for r in spoilt]
        self._stance.blocked_s = max(ends, default=0.0)
        certificate = newest_certificate(known.values(), self.camera, at_s)
        adopted = certificate is not None and self.adopt(certificate)
        window = resumed(known, self._settings, self._judge.basis, at_s)
        if window is not None:
            self._ledger.resume(window)
        cut = cut_off(known, at_s)
        for key, record in cut.items():
            self._judge.note(key, record)
            self._stance.spoilt(record.spoilt, at_s)
            self._stance.blocked_s = max(self._stance.blocked_s, record.ended_s or 0.0)
        return adopted and not cut

    def take_changes(self) -> list[TrustChange]:
        """Changes of state since the last call, oldest first."""
        return self._stance.take_changes()

    def take_windows(self) -> list[tuple[str, TrustWindow]]:
        """Keys and records of the windows judged since the last call, oldest first."""
        return self._judge.take_windows()

    def snapshot(self) -> tuple[str, TrustWindow]:
        """Key and record of the window that fills, as it stands."""
        return self._judge.as_it_stands(self._ledger.window)

    def unsettled(self) -> list[tuple[str, TrustWindow]]:
        """Keys and records of windows that have ended while audits are awaited, oldest first.

        Nothing is known of them yet, so they are written down as open: a process that stops before
        the verdicts come, say on audits that wait out an outage on disk, leaves what it knows.
        """
        return [self._judge.as_it_stands(window) for window in self._ledger.ended]

    def _at(self, at_s: float) -> None:
        if not (math.isfinite(at_s) and 0 <= at_s <= 1e11):
            raise InvalidInput(f"at_s is {at_s!r}; seconds since the Unix epoch expected")
        self._judge.now_s = at_s
        # A clock that was set back must not stretch the day.
        self._day_s = at_s if self._day_s is None else min(self._day_s, at_s)
        if at_s - self._day_s >= self._settings.restart_s:
            self._day_s = at_s
            self._stance.monitor.restart()

    def _hinder(self) -> None:
        """What stands in the way of a promise may have changed."""
        self._judge.obstacle = self._down or (f"budget: {self._short}" if self._short else "")
