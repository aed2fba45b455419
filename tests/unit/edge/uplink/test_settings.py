"""Settings of the uplink, and small parts of it."""

from __future__ import annotations

import random
from pathlib import Path

import grpc
import pytest
from pydantic import ValidationError

from secondlook.edge.uplink import UplinkSettings, UplinkState
from secondlook.edge.uplink.channel import channel_credentials, next_state
from secondlook.edge.uplink.retry import RetryBudget, pause_s
from secondlook.shared.errors import InvalidConfig


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:1", "[::1]:65535"])
def test_loopback_needs_no_certificates(address: str) -> None:
    assert UplinkSettings(address=address).loopback


@pytest.mark.parametrize(
    "address", ["", "cloud", ":1", "cloud:", "cloud:0", "cloud:99999", "a/b:1"]
)
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        UplinkSettings(address=address)


def test_pictures_do_not_leave_the_machine_in_the_clear_by_accident() -> None:
    with pytest.raises(ValidationError, match="allow_plaintext"):
        UplinkSettings(address="cloud.example.com:50051")
    UplinkSettings(address="cloud.example.com:50051", allow_plaintext=True)
    UplinkSettings.model_validate({"address": "cloud.example.com:443", "tls": {"enabled": True}})


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        UplinkSettings.model_validate({"tls": {"enabled": True, "cert": "a.pem"}})
    with pytest.raises(ValidationError, match="enabled is false"):
        UplinkSettings.model_validate({"tls": {"ca": "a.pem"}})


def test_a_missing_certificate_names_its_field(tmp_path: Path) -> None:
    settings = UplinkSettings.model_validate({"tls": {"enabled": True, "ca": tmp_path / "no.pem"}})
    with pytest.raises(InvalidConfig, match=r"uplink\.tls\.ca.*no\.pem"):
        channel_credentials(settings)


def test_after_a_failure_connecting_again_is_still_down() -> None:
    channel = grpc.ChannelConnectivity
    state = next_state(UplinkState.CONNECTING, channel.CONNECTING)
    assert state is UplinkState.CONNECTING
    state = next_state(state, channel.TRANSIENT_FAILURE)
    assert state is UplinkState.DOWN
    assert next_state(state, channel.CONNECTING) is UplinkState.DOWN
    assert next_state(state, channel.READY) is UplinkState.READY
    assert next_state(UplinkState.READY, channel.IDLE) is UplinkState.CONNECTING


def test_a_retry_budget_runs_dry_and_fills_again() -> None:
    budget = RetryBudget(ratio=0.1, burst=2.0)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.asked()
    assert budget.take()
    assert not budget.take()
    for _ in range(1000):
        budget.asked()
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_pauses_grow_to_their_bound_and_are_drawn() -> None:
    draw = random.Random(1)
    assert all(0 <= pause_s(1, 0.1, 2.0, draw) <= 0.1 for _ in range(100))
    late = [pause_s(500, 0.1, 2.0, draw) for _ in range(100)]
    assert max(late) <= 2.0
    assert len(set(late)) > 90
