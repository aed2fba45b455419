"""Settings of the replicator."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from secondlook.shared.memory.replication import ReplicationSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 257},
        {"batch": 0},
        {"poll_s": 0},
        {"poll_s": float("nan")},
        {"max_bytes_per_s": -1},
        {"backoff_initial_s": 10, "backoff_max_s": 5},
        {"pol_s": 1},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReplicationSettings.model_validate(wrong)


def test_every_field_tells_what_it_is() -> None:
    assert all(field.description for field in ReplicationSettings.model_fields.values())


def test_a_request_is_no_larger_than_what_may_pass_at_once() -> None:
    limited = ReplicationSettings(max_bytes_per_s=1000, burst_bytes=10_000)
    assert limited.request_bytes == 20_000, "compressed it is half of that at most"
    assert ReplicationSettings(burst_bytes=10_000).request_bytes == 512 * 1024
    plenty = ReplicationSettings(max_bytes_per_s=10**6, burst_bytes=10**7)
    assert plenty.request_bytes == plenty.batch_bytes
