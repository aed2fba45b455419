"""An edge's questions about a clip, and the least engine that answers them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2

from secondlook.cloud.engine.asking import Ask, Detected, Ran
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Purpose, Region
from support.engines_fake import FakeEngine

UNSURE = 0.15, 0.7
"""Scores between which a box of the light model is asked about."""


class Direct(FakeEngine):
    """A detector in a thread, one picture at a time: no queue, no batch."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector_itself = detector
        self.info = detector.info
        self.calls = 0
        self._thread = ThreadPoolExecutor(1)

    def detectors(self) -> Sequence[ModelInfo]:
        return [self.info]

    def detector(self, model: str = "", version: str = "") -> ModelInfo:
        return self.info

    def fingerprint(self, model: str, version: str = "") -> str:
        return hashlib.sha256(self.info.version.encode()).hexdigest()

    async def detect(self, image: Image, ask: Ask, *, min_score: float = 0.0) -> Detected:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._detect, image, min_score or 0.05)

    def _detect(self, image: Image, min_score: float) -> Detected:
        self.calls += 1
        began_s = time.perf_counter()
        (found,) = self.detector_itself.detect([image], min_score)
        took_s = time.perf_counter() - began_s
        return Detected(found, Ran(self.info.name, self.info.version, infer_s=took_s))


def questions_of(
    frames: Iterable[Image], light: Detector, *, whole_every: int, camera: str = "clip"
) -> Iterator[Escalation]:
    """A whole frame every so often, else the boxes of which the light model is unsure."""
    for number, frame in enumerate(frames):
        if number % whole_every == 0:
            height, width = frame.shape[:2]
            regions = [Region(0, 0, width, height)]
        else:
            (found,) = light.detect([frame], UNSURE[0])
            unsure = found.select(found.scores <= UNSURE[1])
            regions = [_around(box, frame) for box in unsure.boxes[:4].tolist()]
        if regions:
            yield _asked(frame, number, regions, camera)


def _around(box: list[float], frame: Image, margin: float = 16.0) -> Region:
    height, width = frame.shape[:2]
    left, top = int(max(0, box[0] - margin)), int(max(0, box[1] - margin))
    right, bottom = int(min(width, box[2] + margin)), int(min(height, box[3] + margin))
    return Region(left, top, max(1, right - left), max(1, bottom - top))


def _asked(frame: Image, number: int, regions: Sequence[Region], camera: str) -> Escalation:
    """Regions one below the other, as JPEG."""
    cuts = [frame[r.y : r.y + r.height, r.x : r.x + r.width] for r in regions]
    width = max(cut.shape[1] for cut in cuts)
    rows = [
        cv2.copyMakeBorder(cut, 0, 0, 0, width - cut.shape[1], cv2.BORDER_REPLICATE) for cut in cuts
    ]
    done, data = cv2.imencode(".jpg", cv2.vconcat(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    placements, top = [], 0
    for region in regions:
        placements.append(Placement(region, 0, top, region.width, region.height))
        top += region.height
    return Escalation(
        request_id=f"q{number}",
        camera=camera,
        sequence=number,
        captured_at=float(number),
        frame_width=frame.shape[1],
        frame_height=frame.shape[0],
        image=data.tobytes(),
        encoding=ImageEncoding.JPEG,
        placements=tuple(placements),
        purpose=Purpose.UNSURE,
    )
