from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.cloud.engine.routing import Routes, by_age
from secondlook.shared.errors import NotFound

CAMERAS = [f"site/camera-{number}" for number in range(2000)]


def routes(shares: dict[str, float], *versions: str) -> Routes[str]:
    return Routes("model", {name: f"v{name}" for name in versions}, shares)


def test_versions_have_an_age() -> None:
    assert sorted(["10", "9", "sha256:ab", "1"], key=by_age) == ["sha256:ab", "1", "9", "10"]


def test_without_shares_the_newest_gets_all() -> None:
    made = routes({}, "9", "10", "2")
    assert {made.of(camera) for camera in CAMERAS} == {"v10"}
    assert made.main == "v10"
    assert made.of("") == "v10"


def test_a_version_can_be_named_whatever_its_share() -> None:
    made = routes({"2": 1.0}, "1", "2")
    assert made.named("1") == "v1"
    with pytest.raises(NotFound, match=r"'model' has no version '3'; served are 1, 2"):
        made.named("3")


@pytest.mark.parametrize("shares", [{"1": 0.9, "2": 0.1}, {"1": 9.0, "2": 1.0}])
def test_shares_divide_the_cameras_in_any_unit(shares: dict[str, float]) -> None:
    made = routes(shares, "1", "2")
    counts = Counter(made.of(camera) for camera in CAMERAS)
    # 200 expected; six standard deviations of a fair draw are 80.
    assert 120 < counts["v2"] < 280
    assert made.main == "v1"


def test_a_camera_stays_on_its_version() -> None:
    once, again = (routes({"1": 0.5, "2": 0.5}, "1", "2") for _ in range(2))
    assert [once.of(camera) for camera in CAMERAS] == [again.of(camera) for camera in CAMERAS]


def test_nobody_leaves_a_canary_that_grows() -> None:
    before: set[str] = set()
    for share in (0.05, 0.1, 0.4, 1.0):
        made = routes({"1": 1.0 - share, "2": share}, "1", "2")
        now = {camera for camera in CAMERAS if made.of(camera) == "v2"}
        assert before <= now
        before = now
    assert len(before) == len(CAMERAS)


def test_who_has_no_key_is_divided_evenly_from_the_first_request_on() -> None:
    made = routes({"1": 0.75, "2": 0.25}, "1", "2")
    counts = Counter(made.of("") for _ in range(100))
    assert 23 <= counts["v2"] <= 27


def test_canaries_of_two_models_meet_different_cameras() -> None:
    shares = {"1": 0.9, "2": 0.1}
    chosen = [
        {c for c in CAMERAS if Routes(name, {"1": "1", "2": "2"}, shares).of(c) == "2"}
        for name in ("one", "two")
    ]
    assert len(chosen[0] & chosen[1]) < len(chosen[0]) / 2


def test_a_share_of_what_is_not_served_is_passed_over() -> None:
    made = routes({"7": 0.9, "2": 0.1}, "1", "2")
    assert {made.of(camera) for camera in CAMERAS} == {"v2"}
    assert {routes({"7": 1.0}, "1", "2").of(camera) for camera in CAMERAS} == {"v2"}


@given(
    st.dictionaries(
        st.sampled_from(["1", "2", "3", "4"]),
        st.floats(0, 1e9, allow_nan=False) | st.just(0.0),
        max_size=4,
    ),
    st.text(max_size=20),
)
def test_whatever_the_shares_somebody_answers(shares: dict[str, float], key: str) -> None:
    made = routes(shares, "1", "2", "3")
    chosen = made.of(key)
    positive = {f"v{name}" for name, share in shares.items() if share > 0 and name != "4"}
    assert chosen in (positive or {"v3"})
