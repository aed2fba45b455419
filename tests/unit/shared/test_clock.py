import pytest

from secondlook.shared.clock import Deadline, ManualClock


def test_a_deadline_shrinks_and_never_turns_negative() -> None:
    clock = ManualClock()
    deadline = Deadline.after(2.0, clock)
    clock.advance(1.5)
    assert deadline.remaining_s(clock) == 0.5
    assert not deadline.expired(clock)
    clock.advance(1.0)
    assert deadline.remaining_s(clock) == 0.0
    assert deadline.expired(clock)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="back"):
        ManualClock().advance(-1)
