"""Times in which the cloud could not be asked."""

from __future__ import annotations

from secondlook.edge.uplink.outages import MAX_OUTAGES, OutageLog


def test_an_outage_begins_where_nothing_was_answered_any_more() -> None:
    log = OutageLog(10.0)
    log.answered(50.0)
    log.note("", 51.0, 0.0)
    assert log.all == ()
    log.note("breaker open", 60.0, 1_700_000_000.0)
    log.note("unreachable", 61.0, 1_700_000_001.0)
    assert log.current is not None
    assert (log.current.reason, log.current.good_s, log.current.began_s) == ("breaker open", 50, 60)
    log.note("", 90.0, 1_700_000_030.0)
    (one,) = log.all
    assert (one.ended_s, log.current) == (90.0, None)


def test_windows_that_an_outage_touches_are_found() -> None:
    log = OutageLog(0.0)
    log.answered(50.0)
    log.note("unreachable", 60.0, 0.0)
    assert log.during(55, 58), "nothing was answered then, though nobody knew yet"
    assert log.during(1000, 1100), "it goes on"
    log.note("", 90.0, 0.0)
    assert not log.during(0, 49)
    assert log.during(85, 100)
    assert not log.during(91, 100)


def test_only_so_many_are_remembered() -> None:
    log = OutageLog(0.0)
    for number in range(300):
        log.note("unreachable", 2.0 * number, 0.0)
        log.note("", 2.0 * number + 1, 0.0)
    assert len(log.all) == MAX_OUTAGES
    assert log.all[-1].began_s == 598
