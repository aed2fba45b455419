"""From an escalation to a verdict: decode, compose, ask the heavy model, keep what was asked."""

from __future__ import annotations

import numpy as np

from secondlook.cloud.canvas.canvases import Seen
from secondlook.cloud.engine.asking import Ask, Priority
from secondlook.cloud.engine.serving import Serving
from secondlook.cloud.metrics import JudgeMetrics
from secondlook.cloud.picture.background import Backgrounds
from secondlook.cloud.picture.compose import Scene, canonical_size, compose, shrink_to
from secondlook.cloud.picture.decoders import Decoders
from secondlook.cloud.repository.config import MAIN_VARIANT
from secondlook.shared.clock import Clock, Deadline, SystemClock
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import DeadlineExceeded, InvalidInput, Overloaded
from secondlook.shared.geometry import clip, coverage
from secondlook.shared.values import (
    Detections,
    Escalation,
    Purpose,
    Region,
    Verdict,
    VerdictTimings,
)

KEEP_COVERAGE = 0.5
"""A box is kept when this share of it lies in a region, or its centre does."""


class Judge:
    """Answers escalations.

    The same escalation gets an equal verdict, whoever asks and however often, as long as the
    camera's background stands: nothing is drawn by chance and nothing depends on what else is in
    the batch. So a retry or a hedge may repeat a ``request_id`` freely.

    Args:
        engine: what runs the models.
        backgrounds: the last known picture of each camera.
        decoders: what decodes and composes pictures; its owner closes it.
        metrics: where to count.
        max_concurrent: most escalations between their arrival and their verdict.
        clock: the clock of the deadlines.
    """

    def __init__(
        self,
        engine: Serving,
        backgrounds: Backgrounds,
        decoders: Decoders,
        metrics: JudgeMetrics,
        *,
        max_concurrent: int = 64,
        clock: Clock | None = None,
    ) -> None:
        self._engine = engine
        self._backgrounds = backgrounds
        self._decoders = decoders
        self._metrics = metrics
        self._max_concurrent = max_concurrent
        self._clock = clock or SystemClock()
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Escalations that have come and have no verdict yet."""
        return self._in_flight

    async def judge(
        self,
        asked: Escalation,
        deadline: Deadline,
        seen: Seen | None = None,
        *,
        tenant: str = "",
    ) -> Verdict:
        """The heavy model's verdict.

        Args:
            asked: the question.
            deadline: until when an answer is useful.
            seen: the canvas, decoded, where the question is an update of one.
            tenant: who asks, for fair shares; default: the site of the camera.

        Raises:
            InvalidInput: the image or a region is malformed.
            NotFound: no model of that name.
            Overloaded: this process has its hands full.
            DeadlineExceeded: it cannot be answered in time.
            Unavailable: draining.
            ModelFailure: the network gave nonsense.
        """
        if self._in_flight >= self._max_concurrent:
            raise Overloaded(f"{self._max_concurrent} escalations are in flight")
        self._in_flight += 1
        try:
            return await self._judge(asked, deadline, seen, tenant)
        finally:
            self._in_flight -= 1

    async def _judge(
        self, asked: Escalation, deadline: Deadline, seen: Seen | None, tenant: str
    ) -> Verdict:
        started_s = self._clock.monotonic()
        ask = Ask(
            deadline,
            asked.model,
            priority=Priority.AUDIT if asked.purpose is Purpose.AUDIT else Priority.ESCALATION,
            tenant=tenant or asked.camera.rpartition("/")[0],
            camera=asked.camera,
            request_id=asked.request_id,
        )
        await self._engine.prepare(ask)
        info = self._engine.detector(asked.model)
        if seen is not None:
            scene, decode_s = self._on_canvas(asked, seen, deadline), seen.decode_s
        else:
            scene, decode_s = await self._decoders.run(deadline, self._see, asked, info)
        found = await self._engine.detect(scene.picture, ask, min_score=asked.min_score)
        detections = self._to_native(found.detections, scene, asked)
        if not scene.whole:
            detections = inside(detections, asked.regions)
        total_s = self._clock.monotonic() - started_s
        self._metrics.judged(asked.purpose, decode_s, total_s)
        return Verdict(
            request_id=asked.request_id,
            camera=asked.camera,
            sequence=asked.sequence,
            regions=asked.regions,
            detections=detections,
            model=found.ran.model,
            # The one that answered: another may be served by the time of the next question.
            version=found.ran.version,
            purpose=asked.purpose,
            variant="" if found.ran.variant == MAIN_VARIANT else found.ran.variant,
            reason=found.ran.reason,
            timings=VerdictTimings(decode_s, found.ran.queue_s, found.ran.infer_s, total_s),
        )

    def _see(self, asked: Escalation, info: ModelInfo) -> tuple[Scene, float]:
        """Decode and compose; runs in a decoding thread."""
        started_s = self._clock.monotonic()
        if asked.canvas is not None:
            raise InvalidInput("an update of a canvas can be asked about in a session only")
        image = self._decoders.pixels(asked.image, asked.encoding)
        frame_size = asked.frame_width, asked.frame_height
        size = canonical_size(*frame_size, info.width, info.height)
        background = None
        if not asked.whole_frame:
            background = self._backgrounds.recall(asked.camera, frame_size)
            self._metrics.composed(on_background=background is not None)
        scene = compose(asked, image, size, background)
        if scene.whole:
            picture = shrink_to(scene.picture, size)
            self._backgrounds.remember(asked.camera, frame_size, picture, asked.captured_at)
        return scene, self._clock.monotonic() - started_s

    def _on_canvas(self, asked: Escalation, seen: Seen, deadline: Deadline) -> Scene:
        """The canvas is the picture: its regions are in their places already."""
        if deadline.expired(self._clock):
            raise DeadlineExceeded()
        height, width = seen.picture.shape[:2]
        frame_size = asked.frame_width, asked.frame_height
        if asked.whole_frame:
            # A mosaic of the same camera is composed on it as well.
            self._backgrounds.remember(asked.camera, frame_size, seen.picture, asked.captured_at)
        return Scene(seen.picture, frame_size[0] / width, frame_size[1] / height, asked.whole_frame)

    @staticmethod
    def _to_native(found: Detections, scene: Scene, asked: Escalation) -> Detections:
        if scene.scale_x == scene.scale_y == 1.0:
            return found
        scale = np.array([scene.scale_x, scene.scale_y, scene.scale_x, scene.scale_y], np.float32)
        return found.with_boxes(clip(found.boxes * scale, asked.frame_width, asked.frame_height))


def inside(detections: Detections, regions: tuple[Region, ...]) -> Detections:
    """The boxes that belong to a region: their centre, or half of them, lies in it.

    Outside the regions the picture shows what stood there some time ago.
    """
    if not len(detections):
        return detections
    asked = np.array([region.xyxy for region in regions], np.float32)
    boxes = detections.boxes
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    centred = ((centres >= asked[None, :, :2]) & (centres <= asked[None, :, 2:])).all(axis=2)
    covered = coverage(boxes, asked) >= KEEP_COVERAGE
    return detections.select(np.asarray((centred | covered).any(axis=1), bool))
