"""The model card: what a model was trained on, how well it does, and how fast it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secondlook.cloud.training.data import TEST_SEEDS, FrameSet
from secondlook.cloud.training.evaluate import MATCH_IOU, Scores, answers_of, score
from secondlook.cloud.training.network import VARIANTS, Detector, gflops, parameter_count
from secondlook.shared.detect.runtime import ort
from secondlook.shared.sim.camera import MIN_HEIGHT_PX, MIN_VISIBLE


@dataclass(frozen=True)
class Facts:
    """What the card says about the training.

    Attributes:
        command: how to train it again.
        steps: optimiser steps.
        minutes: time of the training loop.
        batch: images a step.
        streets, frames: size of the training data.
    """

    command: str
    steps: int
    minutes: float
    batch: int
    streets: range
    frames: int


def evaluate_onnx(path: Path, frames: FrameSet, threshold: float | None = None) -> Scores:
    """Metrics of an exported model on rendered frames, through ONNX Runtime."""
    session = _session(path, 2)
    height, width = session.get_inputs()[0].shape[1:3]

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(None, {"images": images})[0]
        return result

    known = [c >= 0 for c in frames.classes]
    return score(
        answers_of(infer, frames.images, (width, height)),
        [b[k] for b, k in zip(frames.boxes, known, strict=True)],
        [c[k] for c, k in zip(frames.classes, known, strict=True)],
        [g[k] for g, k in zip(frames.ignore, known, strict=True)],
        threshold,
    )


def latency_ms(path: Path, threads: int, runs: int = 30) -> float:
    """Time of one frame through ONNX Runtime on the CPU, milliseconds.

    The fastest of the runs: on a shared machine the others measure the neighbours.
    """
    session = _session(path, threads)
    shape = [1, *session.get_inputs()[0].shape[1:]]
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    times = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        session.run(None, {"images": image})
        times.append(time.perf_counter() - start)
    return min(times[3:]) * 1e3


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def write_card(path: Path, variant: str, facts: Facts, validation: Scores, test: Scores) -> None:
    """Write the card beside the model at `path` (`street_light.onnx` -> `street_light.md`).

    Args:
        validation: metrics on the validation streets.
        test: metrics on the held-out streets.
    """
    shape = VARIANTS[variant]
    width, height = shape.input_size
    classes = "\n".join(f"| {name} | {value:.3f} |" for name, value in test.class_f1.items())
    sizes = "\n".join(f"| {name} | {value:.3f} |" for name, value in test.size_recall.items())
    params = parameter_count(Detector(shape))
    rows = {
        "licence": "Apache-2.0",
        "input": f"`images` uint8 (batch, {height}, {width}, 3), BGR; frames of another shape are "
        "letterboxed to the top left",
        "output": "`output0` float32 (batch, 9, anchors): centre x, centre y, width, height in "
        "input pixels, then 5 class scores in 0..1; suppression is left to the caller",
        "parameters": f"{params:,}",
        "size": f"{path.stat().st_size / 1e6:.2f} MB, float32",
        "work": f"{gflops(shape):.2f} GFLOPs a frame",
        "time": f"{latency_ms(path, 1):.1f} ms with one thread, {latency_ms(path, 2):.1f} ms with "
        "two (ONNX Runtime on two virtual CPU cores, fastest run)",
    }
    facts_table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    last_street, last_held = facts.streets.stop - 1, TEST_SEEDS.stop - 1
    text = f"""# street_{variant}

A small anchor-free detector of people, bicycles, cars, buses and trucks, trained on the simulated
street `sim://street` and on nothing else. It is meant for demonstrations and tests of Secondlook;
it does not know what a real camera sees.

| | |
|---|---|
{facts_table}

## Training

```
{facts.command}
```

{facts.frames} frames of the streets {facts.streets.start} to {last_street}, 640x384, random
moments of ten minutes each, so day and night, rain and dry. {facts.steps} steps of {facts.batch}
images in {facts.minutes:.0f} minutes on two shared CPU cores. No pretrained weights.

## How good it is

Held-out streets {TEST_SEEDS.start} to {last_held}, never seen in training and used to choose
neither weights nor thresholds; {test.objects} objects. A detection counts when class and place
agree (IoU {MATCH_IOU} and more). Objects lower than {MIN_HEIGHT_PX:g} px or less than
{MIN_VISIBLE:.0%} visible are not counted, found or not. The threshold is the one with the best F1.

| | held-out | validation |
|---|---|---|
| F1 | {test.f1:.3f} | {validation.f1:.3f} |
| precision | {test.precision:.3f} | {validation.precision:.3f} |
| recall | {test.recall:.3f} | {validation.recall:.3f} |
| threshold | {test.threshold:.2f} | {validation.threshold:.2f} |
| mean AP at IoU 0.5 | {test.ap:.3f} | {validation.ap:.3f} |

| class | F1, held-out |
|---|---|
{classes}

| height in the frame | recall, held-out |
|---|---|
{sizes}
"""
    path.with_suffix(".md").write_text(text, encoding="utf-8")
