"""No password is printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.cli.config.redaction import redact
from secondlook.shared.redaction import MASK
from secondlook.shared.redaction import redact as redact_text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("rtsp://viewer:pa55@10.0.0.7:554/1", "rtsp://viewer:***@10.0.0.7:554/1"),
        ("rtsp://viewer:p@ss@cam/1", "rtsp://viewer:***@cam/1"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("rtsp://viewer@cam/1", "rtsp://***@cam/1"),
        ("rtsp://viewer:@cam/1", "rtsp://viewer:***@cam/1"),
        ("http://cam/v?user=a&password=b&fps=3", "http://cam/v?user=a&password=***&fps=3"),
        ("https://hook/x?access_token=abc", "https://hook/x?access_token=***"),
        ("sim://street?seed=4", "sim://street?seed=4"),
        ("tried rtsp://a:b@x then rtsp://c:d@y", "tried rtsp://a:***@x then rtsp://c:***@y"),
        ("a@b.example", "a@b.example"),
        ("", ""),
    ],
)
def test_urls(given_text: str, shown: str) -> None:
    assert redact_text(given_text) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("password", "x", MASK),
        ("redis_password", "x", MASK),
        ("api_key", "x", MASK),
        ("token", "", ""),
        ("token_file", "/run/secrets/t", "/run/secrets/t"),
        ("keyframes", "10", "10"),
        ("timeout_s", 3, 3),
        ("enabled", True, True),
        ("urls", ["http://a:b@c"], ["http://a:***@c"]),
        ("headers", {"token": "x", "accept": "y"}, {"token": MASK, "accept": "y"}),
        ("nothing", None, None),
    ],
)
def test_fields(name: str, value: object, shown: object) -> None:
    assert redact(name, value) == shown


@given(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=4))
def test_no_password_survives(password: str) -> None:
    shown = redact_text(f"rtsp://viewer:{password}@example/live")
    assert shown == "rtsp://viewer:***@example/live"
