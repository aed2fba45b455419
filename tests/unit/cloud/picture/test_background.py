from __future__ import annotations

from support.cloud import picture

from secondlook.cloud.picture.background import Backgrounds
from secondlook.shared.clock import ManualClock

SIZE = (320, 240)


def test_recalls_the_last_picture_without_a_copy() -> None:
    backgrounds = Backgrounds(4, 60)
    assert backgrounds.recall("cam", SIZE) is None
    backgrounds.remember("cam", SIZE, picture(8, 8))
    newest = picture(8, 8)
    backgrounds.remember("cam", SIZE, newest)
    assert backgrounds.recall("cam", SIZE) is newest
    assert backgrounds.recall("other", SIZE) is None


def test_a_camera_of_another_frame_size_is_another_scene() -> None:
    backgrounds = Backgrounds(4, 60)
    backgrounds.remember("cam", SIZE, picture(8, 8))
    assert backgrounds.recall("cam", (640, 480)) is None


def test_forgets_the_camera_used_longest_ago() -> None:
    backgrounds = Backgrounds(2, 60)
    for camera in ("a", "b"):
        backgrounds.remember(camera, SIZE, picture(8, 8))
    assert backgrounds.recall("a", SIZE) is not None
    backgrounds.remember("c", SIZE, picture(8, 8))
    assert backgrounds.recall("b", SIZE) is None
    assert backgrounds.recall("a", SIZE) is not None
    assert len(backgrounds) == 2


def test_forgets_what_is_too_old() -> None:
    clock = ManualClock()
    backgrounds = Backgrounds(2, 60, clock)
    backgrounds.remember("cam", SIZE, picture(8, 8))
    clock.advance(59)
    assert backgrounds.recall("cam", SIZE) is not None
    clock.advance(2)
    assert backgrounds.recall("cam", SIZE) is None
    assert len(backgrounds) == 0


def test_remembers_nothing_when_told_so() -> None:
    backgrounds = Backgrounds(0, 60)
    backgrounds.remember("cam", SIZE, picture(8, 8))
    assert backgrounds.recall("cam", SIZE) is None


def test_a_picture_that_waited_on_its_way_does_not_replace_a_newer_one() -> None:
    clock = ManualClock()
    backgrounds = Backgrounds(4, 60.0, clock)
    newest = picture(8, 8)
    backgrounds.remember("cam", SIZE, newest, 2000.0)
    backgrounds.remember("cam", SIZE, picture(8, 8), 1000.0)
    assert backgrounds.recall("cam", SIZE) is newest
    clock.advance(61)
    older = picture(8, 8)
    backgrounds.remember("cam", SIZE, older, 1000.0)
    assert backgrounds.recall("cam", SIZE) is older, "a clock that went back blocks it not for ever"
