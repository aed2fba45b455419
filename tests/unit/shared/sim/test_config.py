"""`sim://street` URLs: what they set, and what they refuse in which words."""

from __future__ import annotations

import pytest

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.sim import StreetConfig, StreetConfigError


def test_defaults() -> None:
    assert StreetConfig.from_url("sim://street") == StreetConfig()


def test_every_parameter_can_be_set() -> None:
    config = StreetConfig.from_url(
        "sim://street?seed=9&size=320x192&fps=12.5&frames=100&density=2&hour=22.5&day_s=60"
        "&rain=0.5&noise=0&blur=2&quality=40&shake=0&lookalikes=3"
    )
    assert config == StreetConfig(
        seed=9, width=320, height=192, fps=12.5, frames=100, density=2, hour=22.5, day_s=60,
        rain=0.5, noise=0, blur=2, quality=40, shake=0, lookalikes=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("seed=-1", ["seed", "0", "integer"]),
        ("seed=1.5", ["seed", "integer"]),
        ("fps=0", ["fps", "0.1", "120"]),
        ("fps=nan", ["fps", "120"]),
        ("fps=fast", ["fps", "fast"]),
        ("size=640", ["size", "WIDTHxHEIGHT"]),
        ("size=64x64", ["width", "160", "1920"]),
        ("size=640x99999", ["height", "1088"]),
        ("hour=25", ["hour", "24"]),
        ("quality=5", ["quality", "10", "100"]),
        ("rain=inf", ["rain"]),
        ("speed=3", ["speed", "known", "seed"]),
        ("width=640", ["width", "size"]),
        ("seed=1&seed=2", ["seed", "twice"]),
        ("seed", ["name=value"]),
    ],
)
def test_a_bad_parameter_is_named_with_its_range(query: str, words: list[str]) -> None:
    with pytest.raises(StreetConfigError) as caught:
        StreetConfig.from_url(f"sim://street?{query}")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("url", ["sim://road", "file://street", "sim://street/other", "street"])
def test_another_scene_is_refused(url: str) -> None:
    with pytest.raises(StreetConfigError, match="sim://street"):
        StreetConfig.from_url(url)


def test_the_error_is_a_configuration_error() -> None:
    assert issubclass(StreetConfigError, InvalidConfig)
