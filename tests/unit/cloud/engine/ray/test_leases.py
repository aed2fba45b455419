"""Leases end when they are given back, and by themselves."""

from __future__ import annotations

from secondlook.cloud.engine.ray.leases import Leases


def test_an_application_is_held_until_its_last_lease_has_ended() -> None:
    leases = Leases()
    leases.hold("a", "one", 10.0)
    leases.hold("a", "two", 20.0)
    leases.hold("b", "one", 15.0)
    assert leases.next_end_s() == 10.0
    assert leases.lapse(9.0) == []
    assert leases.lapse(10.0) == ["a"]
    assert leases.held("a")
    assert not leases.holds("a", "one")
    leases.release("a", "two")
    leases.release("a", "two")
    assert not leases.held("a")
    # What is said again holds for longer.
    leases.hold("b", "one", 30.0)
    assert leases.lapse(15.0) == []
    assert leases.lapse(30.0) == ["b"]
    assert leases.next_end_s() is None
