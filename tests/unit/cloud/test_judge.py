from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import NAMES, FakeDetector, one_region, picture, whole_frame

from secondlook.cloud.canvas.canvases import Seen
from secondlook.cloud.engine.asking import Detected
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.judge import Judge, inside
from secondlook.cloud.metrics import JudgeMetrics
from secondlook.cloud.picture.background import Backgrounds
from secondlook.cloud.picture.compose import GREY
from secondlook.cloud.picture.decoders import Decoders
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.errors import DeadlineExceeded, InvalidInput, NotFound, Overloaded
from secondlook.shared.values import (
    CanvasUpdate,
    Detections,
    Escalation,
    ImageEncoding,
    Placement,
    Purpose,
    Region,
)
from secondlook.shared.values.canvas import blocks_of
from secondlook.shared.values.escalation import canvas_placements

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


def soon() -> Deadline:
    return Deadline.after(30, CLOCK)


@asynccontextmanager
async def judging(detector: FakeDetector, max_concurrent: int = 64) -> AsyncIterator[Judge]:
    registry = CollectorRegistry()
    local = LocalEngine([Loaded(detector).opened()], registry=registry)
    decoders = Decoders()
    async with local.running() as engine:
        try:
            yield Judge(
                engine,
                Backgrounds(4, 60),
                decoders,
                JudgeMetrics(registry),
                max_concurrent=max_concurrent,
            )
        finally:
            decoders.close()
            detector.release()


async def test_the_verdict_speaks_for_the_frame_in_native_pixels() -> None:
    detector = FakeDetector()
    frame = picture(1280, 720, (100, 200, 300, 400))
    asked = whole_frame(frame, "id-7", camera="gate", sequence=42, purpose=Purpose.AUDIT)
    async with judging(detector) as judge:
        verdict = await judge.judge(asked, soon())
    assert verdict.detections.boxes.tolist() == [[100, 200, 300, 400]]
    assert verdict.detections.class_names() == ["car"]
    assert (verdict.request_id, verdict.camera, verdict.sequence) == ("id-7", "gate", 42)
    assert (verdict.model, verdict.version, verdict.purpose) == ("fake", "1", Purpose.AUDIT)
    assert verdict.regions == asked.regions
    timings = verdict.timings
    assert timings.total_s >= timings.decode_s > 0


@pytest.mark.parametrize(("variant", "told"), [("int8", "int8"), ("fp32", "")])
async def test_the_verdict_says_which_variant_answered_and_why(
    monkeypatch: pytest.MonkeyPatch, variant: str, told: str
) -> None:
    detect = LocalEngine.detect

    async def chosen(self: LocalEngine, *given: Any, **more: Any) -> Detected:
        found = await detect(self, *given, **more)
        return replace(found, ran=replace(found.ran, variant=variant, reason="it was too slow"))

    monkeypatch.setattr(LocalEngine, "detect", chosen)
    async with judging(FakeDetector()) as judge:
        verdict = await judge.judge(whole_frame(picture(320, 240)), soon())
    assert (verdict.variant, verdict.reason) == (told, "it was too slow")


async def test_a_whole_frame_sent_small_answers_in_native_pixels() -> None:
    asked = whole_frame(
        picture(1280, 720),
        image=whole_frame(picture(640, 360, (50, 100, 150, 200))).image,
        placements=(Placement(Region(0, 0, 1280, 720), 0, 0, 640, 360),),
    )
    async with judging(FakeDetector()) as judge:
        verdict = await judge.judge(asked, soon())
    assert verdict.detections.boxes.tolist() == [[100, 200, 300, 400]]


async def test_a_region_is_judged_on_grey_until_the_frame_is_known() -> None:
    detector = FakeDetector()
    frame = picture(1280, 720, (100, 200, 140, 240), level=60)
    region = one_region(frame, Region(64, 160, 128, 128))
    async with judging(detector) as judge:
        first = await judge.judge(region, soon())
        await judge.judge(whole_frame(picture(1280, 720, level=60)), soon())
        second = await judge.judge(region, soon())
    assert first.detections.boxes.tolist() == [[100, 200, 140, 240]]
    assert second.detections.boxes.tolist() == [[100, 200, 140, 240]]
    on_grey, _, on_background = detector.seen
    assert on_grey.shape == on_background.shape == (360, 640, 3)
    assert (on_grey[300, 600] == GREY).all()
    assert (on_background[300, 600] == 60).all()


async def test_backgrounds_of_cameras_do_not_mix() -> None:
    detector = FakeDetector()
    frame = picture(320, 240, level=60)
    async with judging(detector) as judge:
        await judge.judge(whole_frame(frame, camera="other"), soon())
        await judge.judge(one_region(frame, Region(0, 0, 32, 32), camera="mine"), soon())
    assert (detector.seen[1][200, 200] == GREY).all()


async def test_what_the_background_shows_is_not_reported() -> None:
    """An old car outside the regions must not come back as if it were there now."""
    async with judging(FakeDetector()) as judge:
        await judge.judge(whole_frame(picture(320, 240, (200, 100, 220, 120))), soon())
        asked = one_region(picture(320, 240), Region(0, 0, 64, 64))
        verdict = await judge.judge(asked, soon())
    assert len(verdict.detections) == 0


async def test_asking_twice_gives_equal_verdicts() -> None:
    asked = whole_frame(picture(320, 240, (10, 10, 50, 50)))
    async with judging(FakeDetector()) as judge:
        one, two = [await judge.judge(asked, soon()) for _ in range(2)]
    assert np.array_equal(one.detections.boxes, two.detections.boxes)
    assert np.array_equal(one.detections.scores, two.detections.scores)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        ({"model": "nobody"}, NotFound),
        ({"image": b"garbage"}, InvalidInput),
        ({"placements": (Placement(Region(0, 0, 9, 9), 320, 0, 9, 9),)}, InvalidInput),
    ],
)
async def test_what_cannot_work_never_reaches_the_model(
    spoil: dict[str, Any], error: type[Exception]
) -> None:
    detector = FakeDetector()
    async with judging(detector) as judge:
        with pytest.raises(error):
            await judge.judge(whole_frame(picture(320, 240), **spoil), soon())
        assert judge.in_flight == 0
    assert detector.batches == []


async def test_an_expired_question_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "secondlook.cloud.picture.decoders.decode_image", lambda *_: pytest.fail("it was decoded")
    )
    async with judging(FakeDetector()) as judge:
        with pytest.raises(DeadlineExceeded):
            await judge.judge(whole_frame(picture(8, 8)), Deadline.after(0, CLOCK))


async def test_beyond_its_bound_it_refuses_at_once() -> None:
    async with judging(FakeDetector(), max_concurrent=0) as judge:
        with pytest.raises(Overloaded, match="in flight"):
            await judge.judge(whole_frame(picture(8, 8)), soon())


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((110, 110, 120, 120), True),
        ((90, 90, 130, 130), True),
        ((150, 110, 320, 120), False),
        ((60, 110, 105, 120), False),
        ((170, 170, 230, 230), True),
        ((201, 201, 240, 240), False),
    ],
    ids=["inside", "around-its-corner", "sticks-out", "touches", "centre-on-the-edge", "outside"],
)
def test_which_boxes_belong(box: tuple[int, int, int, int], kept: bool) -> None:
    detections = Detections.of([box], [0.5], [0], NAMES)
    regions = (Region(0, 0, 4, 4), Region(100, 100, 100, 100))
    assert len(inside(detections, regions)) == int(kept)


def test_no_boxes_belong_nowhere() -> None:
    assert len(inside(Detections.empty(NAMES), (Region(0, 0, 4, 4),))) == 0


def on_canvas(image: np.ndarray, *regions: Region, **fields: Any) -> tuple[Escalation, Seen]:
    """An update of a canvas of the frame's own size, already decoded."""
    height, width = image.shape[:2]
    rectangles = tuple(blocks_of(region, (width, height), (width, height)) for region in regions)
    update = CanvasUpdate(width, height, 0, key=not regions, rectangles=rectangles)
    asked = whole_frame(
        image,
        encoding=ImageEncoding.H264,
        image=b"unit",
        canvas=update,
        placements=canvas_placements(update, (width, height)),
        **fields,
    )
    return asked, Seen(image, 0.5)


async def test_a_canvas_is_looked_at_as_it_is_and_speaks_for_its_regions() -> None:
    detector = FakeDetector()
    image = picture(320, 240, (100, 100, 140, 140))
    async with judging(detector) as judge:
        asked, seen = on_canvas(image, Region(96, 96, 64, 64))
        here = await judge.judge(asked, soon(), seen)
        elsewhere = await judge.judge(*on_canvas_elsewhere(image))
    assert here.detections.boxes.tolist() == [[100, 100, 140, 140]]
    assert here.timings.decode_s == 0.5
    assert len(elsewhere.detections) == 0
    assert all(looked is image or (looked == image).all() for looked in detector.seen)


def on_canvas_elsewhere(image: np.ndarray) -> tuple[Escalation, Deadline, Seen]:
    asked, seen = on_canvas(image, Region(224, 16, 48, 48))
    return asked, soon(), seen


async def test_a_whole_canvas_becomes_the_background_of_mosaics() -> None:
    detector = FakeDetector()
    async with judging(detector) as judge:
        asked, seen = on_canvas(picture(320, 240, level=90))
        await judge.judge(asked, soon(), seen)
        await judge.judge(
            one_region(picture(320, 240, (100, 100, 140, 140)), Region(96, 96, 64, 64)), soon()
        )
    assert detector.seen[-1][5, 5].tolist() == [90, 90, 90]


async def test_an_update_without_its_picture_or_in_time_is_refused() -> None:
    detector = FakeDetector()
    async with judging(detector) as judge:
        asked, seen = on_canvas(picture(320, 240))
        with pytest.raises(InvalidInput, match="session"):
            await judge.judge(asked, soon())
        with pytest.raises(DeadlineExceeded):
            await judge.judge(asked, Deadline(CLOCK.monotonic() - 1), seen)
    assert detector.seen == []
