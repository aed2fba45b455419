"""Addresses as people write them."""

from __future__ import annotations

import pytest

from secondlook.cli.doctor.address import Address, parse_address
from secondlook.shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "parsed", "target"),
    [
        ("cloud:50051", Address("cloud", 50051), "cloud:50051"),
        ("10.0.0.1:80", Address("10.0.0.1", 80), "10.0.0.1:80"),
        ("[::1]:50051", Address("::1", 50051), "[::1]:50051"),
        ("dns:///cloud:1", Address("cloud", 1), "cloud:1"),
        ("dns://8.8.8.8/cloud:1", Address("cloud", 1), "cloud:1"),
        ("dns:cloud:1", Address("cloud", 1), "cloud:1"),
        ("unix:/run/a.sock", Address("", 0, "/run/a.sock"), "unix:/run/a.sock"),
        ("unix:///run/a.sock", Address("", 0, "/run/a.sock"), "unix:/run/a.sock"),
    ],
)
def test_understood(text: str, parsed: Address, target: str) -> None:
    assert parse_address(text) == parsed
    assert parsed.target == target


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cloud", "has no port"),
        ("", "has no port"),
        (":50051", "has no host"),
        ("cloud:", "port ''"),
        ("cloud:http", "port 'http'"),
        ("cloud:0", "1 to 65535"),
        ("cloud:65536", "1 to 65535"),
        ("cloud:99999999999999999999", "1 to 65535"),
        ("::1:50051", "has no port"),
        ("https://cloud:443", "starts with https://"),
        ("unix:", "has no path"),
    ],
)
def test_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told.replace("'", ".")):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("localhost:1", True),
        ("127.0.0.9:1", True),
        ("[::1]:1", True),
        ("10.0.0.1:1", False),
        ("cloud:1", False),
        ("unix:/a", True),
    ],
)
def test_loopback(text: str, stays: bool) -> None:
    assert parse_address(text).loopback is stays
