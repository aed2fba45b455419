"""The edge loop, one frame after the other, with a stopwatch at each stage."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import cv2
import numpy as np

from secondlook.edge.capture.captured import CapturedFrame
from secondlook.edge.capture.clip import read_clip
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.run import load_light_model
from secondlook.edge.settings import DetectorSettings
from secondlook.shared.clock import SystemClock
from secondlook.shared.detect import NetworkDetector
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections, Escalation, Observation, Verdict

STAGES = ("decode", "preprocess", "network", "postprocess", "track", "gate", "encode", "fuse")
"""In the order of a frame's way; `network` is the bare run of the session."""

_CONFIDENT = 0.3


@dataclass(slots=True)
class EdgeBench:
    """What was measured.

    Attributes:
        model: name of the light model.
        width, height: size of the frames, pixels.
        seconds: for each stage and for ``whole``, seconds of each frame.
        copied: bytes of pixels copied for each frame, in both processes.
        asked: frames that asked the cloud.
    """

    model: str
    width: int = 0
    height: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    copied: list[int] = field(default_factory=list)
    asked: int = 0

    @property
    def frames(self) -> int:
        """Frames measured."""
        return len(self.copied)

    @property
    def copied_bytes(self) -> float:
        """Mean bytes copied for a frame."""
        return float(np.mean(self.copied))

    @property
    def asked_share(self) -> float:
        """Share of frames that asked the cloud."""
        return self.asked / self.frames

    @property
    def ratio(self) -> float:
        """The whole to decoding and the network alone."""
        return self.mean_ms("whole") / (self.mean_ms("decode") + self.mean_ms("network"))

    @property
    def ratio_without_encode(self) -> float:
        """The same without encoding what is asked: what an answer costs."""
        spent = self.mean_ms("whole") - self.mean_ms("encode") - self.mean_ms("fuse")
        return spent / (self.mean_ms("decode") + self.mean_ms("network"))

    @property
    def deciding_share(self) -> float:
        """Tracker and gate to the network alone, on the frames that ask nothing; NaN: all ask."""
        quiet = np.array(self.seconds["encode"]) == 0
        if not quiet.any():
            return float("nan")
        network, track, gate = (
            float(np.array(self.seconds[stage])[quiet].sum())
            for stage in ("network", "track", "gate")
        )
        return (track + gate) / network

    def mean_ms(self, stage: str) -> float:
        """Mean of a stage, milliseconds."""
        return 1000 * float(np.mean(self.seconds[stage]))

    def p95_ms(self, stage: str) -> float:
        """95th percentile of a stage, milliseconds."""
        return 1000 * float(np.percentile(self.seconds[stage], 95))

    def document(self) -> dict[str, object]:
        """All of it, for JSON."""
        return {
            "model": self.model,
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "stages_ms": {
                stage: {
                    "mean": round(self.mean_ms(stage), 4),
                    "p95": round(self.p95_ms(stage), 4),
                }
                for stage in (*STAGES, "whole")
            },
            "ratio": round(self.ratio, 4),
            "ratio_without_encode": round(self.ratio_without_encode, 4),
            "deciding_share": (
                None if math.isnan(self.deciding_share) else round(self.deciding_share, 4)
            ),
            "asked_share": round(self.asked_share, 4),
            "copied_bytes_per_frame": round(self.copied_bytes),
        }


def measure(
    clip: str, model: str, frames: int, warm_up: int, analysis_fps: float, threads: int
) -> EdgeBench:
    """Run ``frames`` frames through the loop, after ``warm_up`` that do not count.

    Raises:
        InvalidInput: the clip has too few frames.
        SecondlookError: model or clip cannot be opened.
    """
    cv2.setNumThreads(1)  # as the daemon does
    detector = load_light_model(DetectorSettings(model=model, threads=threads))
    try:
        info = detector.info
        pipeline = CameraPipeline("bench", PipelineSettings(), info.names, SystemClock())
        found = EdgeBench(info.name)
        wanted = warm_up + frames
        for number, captured in enumerate(read_clip(clip, analysis_fps, wanted)):
            times, copied = _step(pipeline, detector, captured)
            if number < warm_up:
                continue
            found.width, found.height = captured.frame.ref.width, captured.frame.ref.height
            found.copied.append(copied)
            found.asked += times["encode"] > 0
            for stage, seconds in times.items():
                found.seconds.setdefault(stage, []).append(seconds)
    finally:
        detector.close()
    if not found.frames:
        raise InvalidInput(f"{clip} has no more than {warm_up} frames; lower --warm-up")
    return found


def _step(
    pipeline: CameraPipeline, detector: NetworkDetector, captured: CapturedFrame
) -> tuple[dict[str, float], int]:
    """One frame: seconds by stage, and bytes copied."""
    frame, copied_before = captured.frame, pipeline.counts.copied_bytes
    started_s = time.perf_counter()
    (detections,) = detector.detect([frame.image])
    answer = pipeline.answer(frame, detections, media_s=captured.media_s)
    escalation = pipeline.escalation(frame, answer)
    spent_s = time.perf_counter() - started_s
    fuse_s = 0.0 if escalation is None else _fuse(pipeline, escalation, answer)
    network, steps = detector.stage_timings, pipeline.timings
    times = {
        # Decoding happens in a process of its own; its time is added as if it were in line.
        "decode": captured.decode_s,
        "preprocess": network.preprocess_s,
        "network": network.run_s,
        "postprocess": network.postprocess_s,
        "track": steps.track_s,
        "gate": steps.gate_s,
        "encode": steps.encode_s,
        "fuse": fuse_s,
        "whole": captured.decode_s + spent_s + fuse_s,
    }
    copied = captured.bytes_copied + network.bytes_written
    return times, copied + pipeline.counts.copied_bytes - copied_before


def _fuse(pipeline: CameraPipeline, asked: Escalation, answer: Observation) -> float:
    """Take in a made-up verdict: the edge's better boxes are right, the others are not there."""
    boxes = Detections.concatenate([answer.detections, answer.candidates], answer.detections.names)
    believed = boxes.select(boxes.scores >= _CONFIDENT)
    verdict = Verdict(
        asked.request_id, asked.camera, asked.sequence, asked.regions, believed, "bench", "1"
    )
    started_s = time.perf_counter()
    pipeline.apply(verdict)
    return time.perf_counter() - started_s
