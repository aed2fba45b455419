from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from secondlook.cloud.access import ANYONE, Access, Caller, check_pattern, device, names_in
from secondlook.shared.errors import InvalidInput, PermissionDenied

GATE = device("gate-1", ["site/cam1"], ["site/*"])


@contextmanager
def denied(match: str | None = None) -> Iterator[None]:
    with pytest.raises(PermissionDenied, match=match) as error:
        yield
    assert error.value.remedy


@pytest.mark.parametrize("record_id", ["site/cam1/track/1", "site/cam1/x", "site/cam1/a/b/c/d"])
def test_a_device_writes_and_reads_what_is_of_its_camera(record_id: str) -> None:
    GATE.check_write(record_id)
    GATE.check_read(record_id)


@pytest.mark.parametrize(
    "record_id",
    [
        *("site/cam10/track/1", "site/cam1", "site/cam", "site/CAM1/x", "site/cam1\u200b/x"),
        *("site", "site/", "sitecam1/x", "other/cam1/x", "/site/cam1/x", " site/cam1/x", ""),
        *("default/site/cam1/x", "site//cam1/x", "./site/cam1/x", "x/../site/cam1/x"),
    ],
)
def test_a_device_writes_nothing_else(record_id: str) -> None:
    with denied("may not write"):
        GATE.check_write(record_id)


def test_reads_are_read_and_not_written() -> None:
    GATE.check_read("site/cam2/track/1")
    with denied("cam2"):
        GATE.check_write("site/cam2/track/1")
    with denied("may not read"):
        GATE.check_read("other/cam1/track/1")


@pytest.mark.parametrize("prefix", ["site/", "site/cam", "site/cam1/track/", "site/cam2/"])
def test_a_listing_lies_within_what_may_be_read(prefix: str) -> None:
    GATE.check_list(prefix)


@pytest.mark.parametrize("prefix", ["", "s", "site", "other/", "site2/"])
def test_a_listing_that_shows_more_is_refused(prefix: str) -> None:
    with denied("list"):
        GATE.check_list(prefix)


def test_the_prefix_of_one_camera_must_not_show_its_namesake() -> None:
    alone = device("gate-1", ["site/cam1"])
    alone.check_list("site/cam1/")
    with pytest.raises(PermissionDenied) as error:
        alone.check_list("site/cam1")
    assert "'site/cam1/'" in error.value.remedy


@pytest.mark.parametrize(
    ("patterns", "camera", "speaks"),
    [
        (["site/cam1"], "site/cam1", True),
        (["site/cam1"], "site/cam10", False),
        (["site/cam1"], "cam1", False),
        (["cam1"], "cam1", True),
        (["cam1"], "default/cam1", True),
        (["default/cam1"], "cam1", True),
        (["cam1"], "site/cam1", False),
        (["site/*"], "site/anything", True),
        (["site/*"], "site2/cam", False),
        (["default/*"], "cam", True),
        (["*"], "any/thing", True),
        ([], "cam", False),
    ],
)
def test_which_cameras_a_device_speaks_for(patterns: list[str], camera: str, speaks: bool) -> None:
    caller = device("gate-1", patterns, ["*"])
    if speaks:
        caller.check_camera(camera)
    else:
        with denied("may not speak for"):
            caller.check_camera(camera)


def test_all_is_all() -> None:
    for caller in (device("admin", ["*"]), ANYONE):
        caller.check_write("any/thing/x")
        caller.check_read("any/thing/x")
        caller.check_list("")
        caller.check_camera("x")


def test_a_write_is_signed_with_the_identity() -> None:
    assert GATE.signed("") == GATE.signed("gate-1") == "gate-1"
    for forged in ("gate-2", "gate-1 ", "GATE-1", "x" * 10_000):
        with pytest.raises(PermissionDenied, match="may not write as") as error:
            GATE.signed(forged)
        assert len(str(error.value)) < 300
    assert ANYONE.signed("anybody") == "anybody"


def certificate(names: list[bytes], common: bytes | None = None) -> dict[str, list[bytes]]:
    found = {"x509_subject_alternative_name": names, "transport_security_type": [b"ssl"]}
    return found if common is None else {**found, "x509_common_name": [common]}


@pytest.mark.parametrize(
    ("shown", "who"),
    [
        (certificate([b"gate-1"]), "gate-1"),
        (certificate([b"10.0.0.1", b"gate-1"]), "gate-1"),
        (certificate([], b"gate-1"), "gate-1"),
        (certificate([b"gate-2"], b"gate-1"), "gate-2"),
    ],
)
def test_the_certificate_names_the_caller(shown: dict[str, list[bytes]], who: str) -> None:
    access = Access([GATE, device("gate-2", [])])
    assert access.caller(shown).identity == who


@pytest.mark.parametrize(
    "shown",
    [
        {},
        certificate([]),
        certificate([b"gate-10"], b"gate"),
        certificate([b"\xff\xfe"]),
        certificate([b"gate-1\x00"]),
        {"transport_security_type": [b"gate-1"], "peer": [b"gate-1"]},
    ],
)
def test_who_is_not_listed_is_refused(shown: dict[str, list[bytes]]) -> None:
    with denied("not known"):
        Access([GATE]).caller(shown)


def test_names_are_told_once_alternative_names_first() -> None:
    assert names_in(certificate([b"b", b"a", b"b"], b"a")) == ["b", "a"]


@pytest.mark.parametrize("pattern", ["*", "site/*", "site/cam", "cam", "東京/門"])
def test_patterns(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern",
    ["", "/", "site/", "/cam", "a/b/c", "a/b/*", "*/cam", "si*", "site/c*", "**", "../*", "a\nb"],
)
def test_patterns_that_mean_nothing(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        check_pattern(pattern)


def test_who_may_nothing_may_nothing() -> None:
    nobody = Caller("nobody", (), ())
    for check in (nobody.check_write, nobody.check_read, nobody.check_list, nobody.check_camera):
        with denied():
            check("")


def test_what_is_certified_for_the_site_of_a_camera_is_read_and_not_written() -> None:
    one = device("gate-1", ["yard/cam1", "lone"])
    for site in ("yard", "default"):
        one.check_read(f"{site}/_site/trust/20260101T000000.000Z-1")
        one.check_list(f"{site}/_site/")
        with denied("may not write"):
            one.check_write(f"{site}/_site/trust/20260101T000000.000Z-1")
    with denied("may not read"):
        one.check_read("other/_site/trust/20260101T000000.000Z-1")
