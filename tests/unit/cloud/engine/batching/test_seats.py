from __future__ import annotations

import pytest

from secondlook.cloud.engine.batching.seats import Seat


def test_what_runs_for_too_long_is_expected_to_go_on_for_as_long() -> None:
    seat = Seat()
    seat.since_s, seat.expected_s = 10.0, 0.1
    assert seat.busy_s(10.0) == 0.0, "nothing runs"
    seat.rows = 1
    assert seat.busy_s(10.04) == pytest.approx(0.06)
    assert seat.busy_s(10.5) == pytest.approx(0.4)
