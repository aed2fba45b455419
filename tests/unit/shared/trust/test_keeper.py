"""The state machine of one camera, told of frames, audits, outages and changes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.trust import (
    UNKNOWN,
    Basis,
    TrustKeeper,
    TrustSettings,
    TrustState,
    certificate_of,
)
from secondlook.shared.trust.certificate import Certificate

NONE = math.inf
BASIS = Basis("gate-1", "heavy", "7")
GRID = (0.0, 0.1, 0.2, 0.4)
SETTINGS: dict[str, Any] = {
    "audit_rate": 0.1,
    "window_frames": 4000,
    "thresholds": GRID,
    "start_tau": 0.3,
}


class Camera:
    """Drives a keeper: every tenth frame is audited, ten frames a second."""

    def __init__(self, **settings: Any) -> None:
        self.settings = TrustSettings(**{**SETTINGS, **settings})
        self.keeper = TrustKeeper("yard/gate", self.settings, BASIS)
        self.sequence = 0
        self.at_s = 1000.0
        self.records: list[tuple[str, TrustWindow]] = []

    def run(self, frames: int, *risks: float, answer: bool = True) -> None:
        """So many frames; the first audits have these outcomes, all others miss nothing."""
        left = list(risks)
        every = round(1 / self.keeper.audit_rate)
        for _ in range(frames):
            self.sequence += 1
            self.at_s = round(self.at_s + 0.1, 3)
            audited = self.sequence % every == 0
            rate = self.keeper.audit_rate
            self.keeper.frame(self.sequence, self.at_s, probability=rate, audited=audited)
            if audited and answer:
                assert self.keeper.outcome(self.sequence, left.pop(0) if left else NONE)
                every = round(1 / self.keeper.audit_rate)
        assert not left, "more outcomes than audits"
        self.records += self.keeper.take_windows()

    @property
    def state(self) -> TrustState:
        return self.keeper.status.state

    @property
    def reasons(self) -> str:
        return " | ".join(self.keeper.status.reasons)

    def changes(self) -> list[str]:
        return [change.after.value for change in self.keeper.take_changes()]


def certified(*risks: float, **settings: Any) -> Camera:
    camera = Camera(**settings)
    camera.run(4000, *risks)
    assert camera.state is TrustState.CERTIFIED
    camera.changes()
    return camera


def test_windows_whose_audits_are_awaited_are_known_as_open() -> None:
    camera = Camera()
    camera.run(40, answer=False)
    camera.keeper.link_down(camera.at_s, "cut")
    assert camera.keeper.unsettled() == [], "it still fills"
    camera.keeper.link_up(camera.at_s)
    ((key, record),) = camera.keeper.unsettled()
    assert (record.frames, record.audits, record.ended_s, record.spoilt) == (40, 0, None, "cut")
    for sequence in (10, 20, 30, 40):
        assert camera.keeper.outcome(sequence, NONE)
    assert camera.keeper.unsettled() == []
    ((judged, record),) = camera.keeper.take_windows()
    assert judged == key
    assert (record.audits, record.ended_s is not None) == (4, True)


def test_a_new_camera_learns_and_says_how_many_audits_it_takes() -> None:
    camera = Camera()
    assert camera.state is TrustState.LEARNING
    assert "299 audits without a miss" in camera.reasons
    assert camera.keeper.tau == 0.3
    assert camera.keeper.audit_rate == 0.1
    camera.run(3999)
    assert camera.state is TrustState.LEARNING
    assert camera.keeper.status.certificate is None


def test_a_window_without_misses_certifies_the_highest_threshold() -> None:
    camera = Camera()
    camera.run(4000)
    status = camera.keeper.status
    assert status.state is TrustState.CERTIFIED
    assert camera.keeper.tau == 0.4
    assert status.certificate is not None
    assert (status.certificate.audits, status.certificate.frames) == (400, 4000)
    assert "at threshold 0.4 at most 0.746% of frames miss an object" in camera.reasons
    assert "0 misses in 400 audits of 4000 frames" in camera.reasons
    assert camera.changes() == ["certified"]
    assert camera.changes() == []


def test_the_threshold_is_the_highest_that_keeps_the_promise() -> None:
    # Misses covered by candidates of risk 0.15: at threshold 0.2 and above they are lost.
    camera = certified(*[0.15] * 4)
    assert camera.keeper.tau == 0.1
    # Put right at the very threshold of their risk.
    assert certified(*[0.2] * 4).keeper.tau == 0.2


def test_without_enough_proof_nothing_is_promised() -> None:
    camera = Camera(window_frames=2000)
    camera.run(2000)
    assert camera.state is TrustState.UNCERTIFIED
    assert "0 of 200 frames looked at missed an object even at threshold 0.1" in camera.reasons
    assert "nothing is promised" in camera.reasons
    camera.run(2000, 0.0, 0.0, 0.0, 0.0)
    assert camera.state is TrustState.UNCERTIFIED
    assert camera.keeper.status.certificate is None


def test_without_a_certificate_the_threshold_follows_or_all_is_sent() -> None:
    camera = Camera()
    camera.run(100)
    assert camera.keeper.tau == pytest.approx(0.3 + 10 * 0.005 / 0.1 * 0.01)
    camera.run(10, 0.05)
    assert camera.keeper.tau == pytest.approx(0.305 - 0.005 / 0.1 * 0.99)
    strict = Camera(without="send_all")
    strict.run(100)
    assert strict.keeper.tau == 0.0
    strict.run(3900)
    assert strict.keeper.tau == 0.4


def test_a_held_threshold_does_not_follow() -> None:
    camera = certified()
    camera.run(100, 0.05)
    assert camera.keeper.tau == 0.4
    assert camera.keeper.status.misses == 1


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after the end"])
def test_a_window_with_a_lost_audit_is_uncertified(late: bool) -> None:
    camera = Camera()
    camera.run(3000)
    camera.run(10, answer=False)
    waiting = camera.sequence
    if not late:
        assert camera.keeper.lost(waiting, "no verdict in 15 s")
    camera.run(990)
    if late:
        assert camera.state is TrustState.LEARNING
        assert camera.keeper.lost(waiting, "no verdict in 15 s")
    assert camera.state is TrustState.UNCERTIFIED
    assert "an audit was lost: no verdict in 15 s" in camera.reasons
    (_, record), *rest = [*camera.records, *camera.keeper.take_windows()]
    assert rest == []
    assert (record.lost, record.certified_tau, record.audits) == (1, None, 399)
    camera.run(4000)
    assert camera.state is TrustState.CERTIFIED


def test_a_window_waits_for_its_last_audit() -> None:
    camera = Camera()
    camera.run(3990)
    camera.run(10, answer=False)
    camera.run(4000)
    assert camera.state is TrustState.LEARNING
    assert camera.records == []
    camera.keeper.outcome(4000, NONE)
    camera.run(0)
    assert [record.certified_tau for _, record in camera.records] == [0.4, 0.4]
    assert camera.records[0][0] < camera.records[1][0]


def test_outcomes_nobody_waits_for_change_nothing() -> None:
    camera = Camera()
    camera.run(100)
    before = camera.keeper.status
    for sequence in (10, 11, 99_999, -5):
        assert not camera.keeper.outcome(sequence, 0.0)
        assert not camera.keeper.lost(sequence, "gone")
    assert camera.keeper.status == before


def test_too_many_waiting_audits_are_lost() -> None:
    camera = Camera(max_pending=20)
    camera.run(300, answer=False)
    status = camera.keeper.status
    assert (status.pending, status.lost) == (20, 10)
    assert not camera.keeper.outcome(10, NONE)


def test_an_alarm_lowers_the_threshold_audits_more_and_certifies_again() -> None:
    camera = certified(*[0.15] * 4)
    assert camera.keeper.tau == 0.1
    camera.run(4000)
    assert camera.keeper.tau == 0.4
    camera.changes()
    lost = 0
    while camera.state is TrustState.CERTIFIED:
        camera.run(10, 0.3)
        lost += 1
    assert 3 <= lost <= 8
    assert camera.state is TrustState.ALARM
    assert camera.keeper.tau == 0.1, "the threshold certified before"
    assert camera.keeper.audit_rate == 0.5
    assert "audits missed an object; 1.00% was promised" in camera.reasons
    assert "threshold 0.4 -> 0.1: the threshold certified before" in camera.reasons
    assert camera.keeper.status.alarms == 1
    assert camera.keeper.status.certificate is None
    # The window is as much shorter as audits are more frequent.
    assert camera.keeper.status.window_frames == 800
    camera.run(190, *[0.3] * 50)
    assert camera.state is TrustState.ALARM
    camera.run(20)
    assert camera.state is TrustState.RECERTIFYING
    assert camera.keeper.audit_rate == 0.5
    camera.run(1700)
    assert camera.state is TrustState.CERTIFIED
    assert camera.keeper.audit_rate == 0.1
    assert camera.changes() == ["alarm", "recertifying", "certified"]


def test_without_an_earlier_threshold_an_alarm_sends_everything() -> None:
    camera = certified()
    camera.run(200, *[0.0] * 5)
    assert camera.state is TrustState.ALARM
    assert camera.keeper.tau == 0.0
    assert "all is sent" in camera.reasons
    camera.run(200, *[0.0] * 60)
    assert camera.keeper.status.alarms == 1, "nothing is lost where all is sent"


def test_audits_from_before_an_alarm_do_not_alarm_again() -> None:
    camera = certified()
    assert camera.keeper.tau == 0.4
    camera.run(200, answer=False)
    waiting = [s for s in range(4001, 4201) if s % 10 == 0]
    for sequence in waiting[:5]:
        camera.keeper.outcome(sequence, 0.3)
    assert camera.state is TrustState.ALARM
    for sequence in waiting[5:]:
        assert camera.keeper.outcome(sequence, 0.3)
    assert camera.keeper.status.alarms == 1
    spoilt = {record.spoilt for _, record in camera.keeper.take_windows()}
    assert spoilt == {"too many losses: alarm"}


def test_the_certified_rate_begins_with_a_window_of_its_own() -> None:
    camera = certified()
    camera.run(200, *[0.0] * 5)
    camera.run(10)
    camera.run(900)
    assert camera.keeper.audit_rate == 0.1
    camera.run(4000)
    rates = {record.audit_rate for _, record in camera.records if not record.spoilt}
    assert rates == {0.1, 0.5}
    assert all(record.audit_rate is not None for _, record in camera.records)


def test_a_changed_gate_or_model_voids_the_certificate() -> None:
    camera = certified()
    camera.keeper.changed(BASIS, camera.at_s)
    assert camera.state is TrustState.CERTIFIED
    camera.run(10, answer=False)
    camera.keeper.changed(Basis("gate-2", "heavy", "8"), camera.at_s)
    assert camera.state is TrustState.RECERTIFYING
    assert "gate was gate-1, is gate-2; model version was 7, is 8" in camera.reasons
    assert camera.keeper.status.certificate is None
    assert camera.keeper.tau == 0.3
    # An audit of the old gate says nothing about the new one.
    assert camera.keeper.outcome(camera.sequence, 0.0)
    assert camera.keeper.tau == 0.3
    camera.run(4000)
    assert camera.state is TrustState.CERTIFIED
    assert camera.keeper.status.certificate is not None
    assert camera.keeper.status.certificate.basis.gate == "gate-2"
    assert [r.spoilt.partition(" was")[0] for _, r in camera.records] == ["", "gate", ""]


def test_a_changed_calibration_voids_the_certificate_and_keeps_the_name() -> None:
    camera = Camera()
    camera.run(4001)
    assert camera.keeper.status.certificate is not None
    camera.keeper.recalibrated(camera.at_s)
    assert camera.keeper.status.certificate is None
    assert camera.keeper.basis == BASIS
    assert "calibration" in " ".join(camera.keeper.status.reasons)
    camera.run(4001)
    assert camera.keeper.status.certificate is not None


def test_an_outage_uncertifies_the_window_and_a_new_one_begins_behind_it() -> None:
    camera = certified()
    camera.run(1000)
    camera.keeper.link_down(camera.at_s, "no answer for 5 s")
    assert camera.state is TrustState.UNCERTIFIED
    assert "no answer for 5 s" in camera.reasons
    assert "threshold 0.4 is kept, and not promised" in camera.reasons
    camera.run(500)
    camera.keeper.link_down(camera.at_s, "breaker open")
    camera.keeper.link_up(camera.at_s)
    camera.keeper.link_up(camera.at_s)
    camera.run(3999)
    assert camera.state is TrustState.UNCERTIFIED
    camera.run(1)
    assert camera.state is TrustState.CERTIFIED
    assert [r.spoilt for _, r in camera.records] == ["", "no answer for 5 s", ""]
    assert [r.frames for _, r in camera.records] == [4000, 1500, 4000]
    assert camera.changes() == ["uncertified", "certified"]


def test_an_outage_of_many_windows_certifies_none() -> None:
    camera = certified()
    camera.keeper.link_down(camera.at_s, "no route")
    camera.run(12_000)
    assert camera.state is TrustState.UNCERTIFIED
    assert [r.spoilt for _, r in camera.records[1:]] == ["no route"] * 3


def test_a_budget_that_does_not_suffice_is_shown_and_uncertifies() -> None:
    camera = certified()
    camera.run(100)
    camera.keeper.infeasible(camera.at_s, "needs 31 KB/s, has 10")
    camera.keeper.infeasible(camera.at_s, "needs 32 KB/s, has 10")
    assert camera.state is TrustState.SLO_INFEASIBLE
    assert camera.keeper.status.reasons[0] == "needs 32 KB/s, has 10"
    assert "apart from that certified" in camera.reasons
    assert camera.keeper.tau == 0.4
    camera.run(5000)
    assert camera.state is TrustState.SLO_INFEASIBLE
    camera.keeper.feasible(camera.at_s)
    camera.keeper.feasible(camera.at_s)
    assert camera.state is TrustState.UNCERTIFIED
    camera.run(4000)
    assert camera.state is TrustState.CERTIFIED
    assert camera.changes() == ["slo-infeasible", "uncertified", "certified"]


def test_frames_of_probability_one_are_counted_as_known() -> None:
    camera = Camera()
    for _ in range(40):
        camera.run(99)
        camera.sequence += 1
        camera.keeper.frame(camera.sequence, camera.at_s, probability=1.0, audited=True)
        camera.keeper.outcome(camera.sequence, NONE)
    camera.run(0)
    (_, record), *_ = camera.records
    assert (record.frames, record.known, record.audit_rate) == (4000, 40, 0.1)
    assert record.certified_tau == 0.4


def test_the_monitor_spends_its_delta_once_a_day() -> None:
    camera = certified()
    camera.run(20, 0.05)
    assert camera.keeper.status.e_value > 1
    camera.at_s += 86_400
    camera.run(1)
    assert camera.keeper.status.e_value == 1.0


def site_certificate(**changes: Any) -> Certificate:
    fields: dict[str, Any] = {
        "alpha": 0.01,
        "delta": 0.05,
        "tau": 0.2,
        "bound": 0.009,
        "started_s": 1000.0,
        "ended_s": 1010.0,
        "frames": 50_000,
        "audits": 500,
        "misses": 0,
        "known_misses": 0,
        "basis": BASIS,
        "cameras": ("yard/door", "yard/gate"),
        "method": "clopper-pearson",
    }
    return Certificate(**{**fields, **changes})


def test_the_certificate_of_the_site_is_taken_over() -> None:
    camera = Camera()
    camera.run(100)
    assert camera.keeper.adopt(site_certificate())
    assert camera.state is TrustState.CERTIFIED
    assert camera.keeper.tau == 0.2
    assert "500 audits of 50000 frames, 2 cameras" in camera.reasons
    # Few audits of its own are no reason to doubt it, nor is an older pool.
    assert not camera.keeper.adopt(site_certificate(ended_s=1009.0))
    assert camera.keeper.adopt(site_certificate(ended_s=1011.0, tau=0.1))
    camera.run(3900, 0.05)
    assert camera.state is TrustState.CERTIFIED
    assert camera.records[-1][1].certified_tau == 0.0
    assert camera.keeper.tau == 0.1
    # Its own proof goes before that of the site.
    camera.run(4000)
    assert camera.keeper.tau == 0.4
    assert not camera.keeper.adopt(site_certificate(ended_s=2000.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"tau": 0.0},
        {"cameras": ("yard/door", "yard/back")},
        {"basis": Basis("gate-2", "heavy", "7")},
        {"alpha": 0.02},
        {"delta": 0.1},
        {"started_s": 0.0, "ended_s": 1.0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_certificate_that_is_not_about_this_camera_is_not(changes: dict[str, Any]) -> None:
    camera = Camera(remember_s=100.0)
    camera.run(2000)
    assert not camera.keeper.adopt(
        site_certificate(ended_s=1190.0, **changes)
        if "ended_s" not in changes
        else site_certificate(**changes)
    )
    assert camera.state is TrustState.LEARNING


def test_a_site_is_not_believed_over_an_alarm_or_an_outage_behind_its_frames() -> None:
    camera = certified()
    camera.run(200, *[0.05] * 5)
    assert camera.state is TrustState.ALARM
    assert not camera.keeper.adopt(site_certificate(ended_s=camera.at_s))
    camera.keeper.link_down(camera.at_s, "cut")
    late = site_certificate(started_s=camera.at_s, ended_s=camera.at_s)
    assert not camera.keeper.adopt(late)
    camera.keeper.link_up(camera.at_s)
    assert camera.keeper.adopt(late)


def restarted(camera: Camera, after_s: float = 60.0, basis: Basis = BASIS) -> tuple[bool, Any]:
    keeper = TrustKeeper("yard/gate", camera.settings, basis)
    records = dict([*camera.records, camera.keeper.snapshot()])
    return keeper.recall(records, camera.at_s + after_s), keeper


def test_a_certificate_outlives_a_restart() -> None:
    camera = certified(*[0.15] * 4)
    camera.run(100)
    found, keeper = restarted(camera)
    assert found
    assert keeper.status.state is TrustState.CERTIFIED
    assert keeper.tau == camera.keeper.tau == 0.1
    before = camera.keeper.status.certificate
    assert keeper.status.certificate == before


def test_what_no_longer_stood_does_not_come_back() -> None:
    camera = certified()
    assert not restarted(camera, after_s=200_000.0)[0], "too old"
    assert not restarted(camera, basis=Basis("gate-2", "heavy", "7"))[0]
    assert not restarted(camera, after_s=-500.0)[0], "of the future"
    camera.keeper.link_down(camera.at_s, "cut")
    assert not restarted(camera)[0]
    alarmed = certified()
    alarmed.run(200, *[0.0] * 5)
    found, keeper = restarted(alarmed)
    assert not found
    assert keeper.status.state is TrustState.LEARNING
    assert not TrustKeeper("yard/gate", alarmed.settings, BASIS).recall({}, 5.0)


def test_the_window_in_progress_goes_on_after_a_restart() -> None:
    camera = certified(*[0.15] * 4)
    camera.run(1500, 0.15, 0.3)
    key, before = camera.keeper.snapshot()
    _, keeper = restarted(camera)
    assert keeper.status.frames == 1500
    assert keeper.status.audits == 150
    again, now = keeper.snapshot()
    assert (again, now.started_s, now.misses) == (key, before.started_s, before.misses)
    # It ends where it would have ended, and proves what all of its audits show.
    camera.keeper, camera.sequence = keeper, 0
    camera.records.clear()
    camera.run(2500)
    ((judged, record),) = camera.records
    assert (judged, record.frames, record.audits) == (key, 4000, 400)
    assert record.misses == tuple(before.misses)
    assert record.certified_tau is not None


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": (0.0, 0.1, 0.2)},
        {"audit_rate": 0.2},
        {"remember_s": 10.0},
    ],
    ids=str,
)
def test_a_window_under_other_terms_does_not_go_on(change: dict[str, Any]) -> None:
    camera = Camera()
    camera.run(1500)
    camera.settings = TrustSettings(**{**SETTINGS, **change})
    _, keeper = restarted(camera)
    assert keeper.status.frames == 0


def test_a_window_of_another_gate_or_model_or_with_broken_counts_does_not_go_on() -> None:
    camera = Camera()
    camera.run(1500)
    for basis in (Basis("gate-2", "heavy", "7"), Basis("gate-1", "heavy", "8")):
        assert restarted(camera, basis=basis)[1].status.frames == 0
    key, record = camera.keeper.snapshot()
    for name, broken in (
        ("nonsense", record),
        (key, record.model_copy(update={"audit_rate": None})),
        (key, record.model_copy(update={"misses": (9, 3, 2, 1)})),
        (key, record.model_copy(update={"spoilt": "cut"})),
        (key, record.model_copy(update={"lost": 1})),
        (key, record.model_copy(update={"ended_s": record.at_s})),
    ):
        keeper = TrustKeeper("yard/gate", camera.settings, BASIS)
        keeper.recall({name: broken}, camera.at_s)
        assert keeper.status.frames == 0


def test_a_window_whose_audits_were_under_way_is_uncertified_and_says_why() -> None:
    camera = certified(*[0.15] * 4)
    camera.run(10, answer=False)
    assert camera.keeper.snapshot()[1].awaited == 1
    found, keeper = restarted(camera)
    assert not found
    assert keeper.status.state is TrustState.UNCERTIFIED
    assert "1 audits were under way when the edge stopped" in keeper.status.reasons[0]
    assert keeper.tau == 0.1, "the threshold that was certified is kept, and not promised"
    assert keeper.status.frames == 0
    ((key, closed),) = keeper.take_windows()
    assert key == camera.keeper.snapshot()[0]
    assert (closed.lost, closed.awaited, closed.ended_s) == (1, 0, camera.at_s)
    assert closed.spoilt == keeper.status.reasons[0]
    # It is closed once.
    again = TrustKeeper("yard/gate", camera.settings, BASIS)
    again.recall({key: closed}, camera.at_s + 60)
    assert again.take_windows() == []


def test_a_spoilt_window_that_was_judged_late_hides_no_later_certificate() -> None:
    camera = Camera()
    camera.run(10, answer=False)
    camera.run(4990)
    camera.keeper.lost(10, "no verdict")
    camera.run(3000)
    assert [bool(record.spoilt) for _, record in camera.records] == [True, False]
    assert camera.state is TrustState.CERTIFIED
    assert restarted(camera)[0]


def test_after_a_restart_a_site_is_not_believed_about_frames_before_an_alarm() -> None:
    camera = certified()
    camera.run(200, *[0.0] * 5)
    assert camera.state is TrustState.ALARM
    _, keeper = restarted(camera)
    before = site_certificate(started_s=1000.0, ended_s=camera.at_s)
    assert not keeper.adopt(before)
    assert keeper.adopt(site_certificate(started_s=camera.at_s + 1, ended_s=camera.at_s + 50))
    # One that has no such past believes it.
    assert restarted(Camera())[1].adopt(before)


def test_records_say_what_the_camera_says() -> None:
    camera = certified(*[0.15] * 4)
    camera.run(150, 0.3)
    key, record = camera.keeper.snapshot()
    assert TrustWindow.of(record.document()) == record
    assert (record.ended_s, record.certified_tau) == (None, None)
    assert (record.frames, record.audits, record.misses) == (150, 15, (0, 0, 0, 1))
    assert (record.state, record.tau) == ("certified", 0.1)
    first_key, first = camera.records[0]
    assert first_key < key
    assert first_key == "19700101T001640.100Z-1"
    found = certificate_of(first, "yard/gate")
    assert found == camera.keeper.status.certificate


# Hostile input


@pytest.mark.parametrize("risk", [float("nan"), -0.1, 2.0, -math.inf])
def test_an_outcome_that_makes_no_sense_leaves_the_audit_waiting(risk: float) -> None:
    camera = Camera()
    camera.run(10, answer=False)
    with pytest.raises(InvalidInput, match="lowest risk"):
        camera.keeper.outcome(10, risk)
    assert camera.keeper.status.pending == 1
    assert camera.keeper.outcome(10, 1.0)


@pytest.mark.parametrize(
    ("sequence", "at_s", "probability", "audited"),
    [
        (5, 1000.0, 0.1, False),
        (-1, 1000.0, 0.1, False),
        (1.5, 1000.0, 0.1, False),
        (True, 1000.0, 0.1, False),
        (11, float("nan"), 0.1, False),
        (11, -1.0, 0.1, False),
        (11, 1e300, 0.1, False),
        (11, 1000.0, 0.0, False),
        (11, 1000.0, float("nan"), True),
        (11, 1000.0, 1.0001, True),
        (11, 1000.0, 1.0, False),
    ],
)
def test_a_frame_that_makes_no_sense_is_not_counted(
    sequence: Any, at_s: float, probability: float, audited: bool
) -> None:
    camera = Camera()
    camera.run(10)
    before = camera.keeper.status
    with pytest.raises(InvalidInput):
        camera.keeper.frame(sequence, at_s, probability=probability, audited=audited)
    assert camera.keeper.status == before


def test_a_clock_that_jumps_harms_nothing() -> None:
    camera = Camera()
    camera.run(2000)
    camera.at_s += 5e8
    camera.run(1000)
    camera.at_s -= 9e8 - 4e8
    camera.run(1000)
    assert camera.state is TrustState.CERTIFIED
    (_, record), *_ = camera.records
    assert record.ended_s is not None
    assert record.ended_s >= record.started_s


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"alpha": 0.0},
        {"alpha": float("nan")},
        {"delta": 0.6},
        {"audit_rate": -0.1},
        {"audit_rate": 1.1},
        {"seed": -1},
        {"wait_s": 0.0},
        {"thresholds": (0.1, 0.2)},
        {"thresholds": (0.0, 0.2, 0.2)},
        {"thresholds": (0.0,)},
        {"thresholds": tuple(n / 100 for n in range(65))},
        {"without": "hope"},
        {"typo": 1},
    ):
        with pytest.raises(ValueError, match="validation error"):
            TrustSettings(**wrong)  # type: ignore[arg-type]


def test_without_audits_there_is_no_keeper() -> None:
    with pytest.raises(InvalidInput, match="without audits nothing can be promised"):
        TrustKeeper("yard/gate", TrustSettings(audit_rate=0.0), BASIS)


def test_a_known_frame_that_was_not_looked_at_is_one_that_the_coin_passed_over() -> None:
    keeper = TrustKeeper("yard/gate", TrustSettings(audit_rate=0.5), BASIS)
    keeper.frame(0, 1.0, probability=1.0, audited=True)
    keeper.frame(1, 2.0, probability=1.0, audited=True)
    keeper.frame(2, 3.0, probability=0.5, audited=True)
    assert keeper.excuse(0)
    assert not keeper.excuse(0)
    assert not keeper.excuse(2), "what a coin chose is lost, not excused"
    assert keeper.outcome(1, math.inf)
    _, record = keeper.snapshot()
    assert (record.frames, record.known, record.audits, record.lost) == (3, 1, 0, 0)
    assert not record.spoilt
    assert keeper.status.pending == 1


def test_where_all_frames_are_audited_none_is_excused() -> None:
    keeper = TrustKeeper("yard/gate", TrustSettings(audit_rate=1.0), BASIS)
    keeper.frame(0, 1.0, probability=1.0, audited=True)
    assert not keeper.excuse(0)
    assert keeper.lost(0, "gone")


def test_the_first_verdict_names_the_model_and_voids_nothing() -> None:
    unknown = Basis(BASIS.gate, UNKNOWN, "")
    keeper = TrustKeeper("yard/gate", TrustSettings(audit_rate=0.5), unknown)
    keeper.frame(0, 1.0, probability=1.0, audited=True)
    keeper.changed(BASIS, 2.0)
    assert keeper.basis == BASIS
    assert keeper.outcome(0, math.inf)
    _, record = keeper.snapshot()
    assert (record.model, record.model_version) == (BASIS.model, BASIS.model_version)
    assert not record.spoilt
    assert keeper.status.state is TrustState.LEARNING
    keeper.changed(Basis(BASIS.gate, "another", "2"), 3.0)
    assert keeper.take_windows()[0][1].spoilt


def test_nothing_is_demanded_until_there_is_something_to_keep() -> None:
    for settings, expected in (
        (TrustSettings(enforce=True), NONE),
        (TrustSettings(enforce=True, without="send_all"), 0.0),
        (TrustSettings(enforce=False, without="send_all"), NONE),
    ):
        assert TrustKeeper("yard/gate", settings, BASIS).demanded == expected
    for enforce in (True, False):
        camera = Camera(enforce=enforce)
        camera.run(4000)
        assert camera.state is TrustState.CERTIFIED
        assert camera.keeper.demanded == (camera.keeper.tau if enforce else NONE)
