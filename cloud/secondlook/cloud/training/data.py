"""Frames of the simulated street: rendered once into a memory map, then cropped and varied."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from secondlook.cloud.training.loss import Targets
from secondlook.cloud.training.network import Variant
from secondlook.shared.sim import StreetCamera, StreetConfig

TRAIN_SEEDS = range(10_000, 10_700)
VALIDATION_SEEDS = range(900, 932)
TEST_SEEDS = range(1, 17)
WIDTH, HEIGHT = 640, 384

_MINUTES_SHOWN = 10
_MIN_LEFT = 0.4  # of an object's box; less is not fairly countable after a crop


@dataclass(frozen=True)
class FrameSet:
    """Rendered frames.

    Attributes:
        images: BGR uint8 (n, 384, 640, 3).
        boxes: float32 (n, g, 4), xyxy pixels, padded with zeros.
        classes: int64 (n, g), -1 where padded.
        ignore: bool (n, g).
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    ignore: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)


def _truth(job: tuple[str, int, int, int, int]) -> tuple[list[int], list[NDArray[np.float32]]]:
    """Render one street's frames into the map; rows of x0 y0 x1 y1 class ignore come back."""
    path, total, first, seed, count = job
    cv2.setNumThreads(1)
    images = np.memmap(path, np.uint8, "r+", shape=(total, HEIGHT, WIDTH, 3))
    camera = StreetCamera(StreetConfig(seed=seed, width=WIDTH, height=HEIGHT))
    rng = np.random.default_rng(seed)
    rows = []
    for offset in range(count):
        frame = camera.draw(int(rng.integers(0, _MINUTES_SHOWN * 600)))
        images[first + offset] = frame.image
        truth = frame.truth
        rows.append(np.column_stack((truth.boxes, truth.classes, frame.ignore)).astype(np.float32))
    return list(range(first, first + count)), rows


def render(
    folder: Path,
    seeds: range,
    frames_per_seed: int,
    workers: int,
    progress: Callable[[float], None] = lambda _: None,
) -> FrameSet:
    """Render, or load what was rendered before, `frames_per_seed` frames of each seed.

    The frames lie in `folder`, 737 KB each; a finished rendering is recognised by its labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = len(seeds) * frames_per_seed
    stem = f"street_{seeds.start}_{seeds.stop}_{frames_per_seed}"
    path, labels = folder / f"{stem}.u8", folder / f"{stem}.npz"
    if not labels.exists():
        np.memmap(path, np.uint8, "w+", shape=(total, HEIGHT, WIDTH, 3)).flush()
        jobs = [
            (str(path), total, i * frames_per_seed, seed, frames_per_seed)
            for i, seed in enumerate(seeds)
        ]
        found: dict[int, NDArray[np.float32]] = {}
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for done, (places, rows) in enumerate(pool.imap_unordered(_truth, jobs), start=1):
                found.update(zip(places, rows, strict=True))
                progress(done / len(jobs))
        most = max(max(len(r) for r in found.values()), 1)
        table = np.zeros((total, most, 6), np.float32)
        table[:, :, 4] = -1
        for place, rows_here in found.items():
            table[place, : len(rows_here)] = rows_here
        np.savez(labels, table=table)
    table = np.load(labels)["table"]
    return FrameSet(
        images=np.memmap(path, np.uint8, "r", shape=(total, HEIGHT, WIDTH, 3)),
        boxes=table[:, :, :4],
        classes=table[:, :, 4].astype(np.int64),
        ignore=table[:, :, 5] > 0,
    )


def batches(
    frames: FrameSet, variant: Variant, size: int, seed: int, whole: bool = False
) -> Iterator[tuple[torch.Tensor, Targets]]:
    """Endless random batches: float images (n, 3, h, w) in 0..1 and their truth.

    With `whole`, full frames at the input size instead of crops of varied scale.
    """
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(frames))
        for start in range(0, len(order) - size + 1, size):
            samples = [
                _sample(frames, int(i), variant, rng, whole) for i in order[start : start + size]
            ]
            yield _collate(samples)


Sample = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]


def _sample(
    frames: FrameSet, index: int, variant: Variant, rng: np.random.Generator, whole: bool
) -> Sample:
    known = frames.classes[index] >= 0
    boxes = frames.boxes[index][known].copy()
    classes, ignore = frames.classes[index][known], frames.ignore[index][known].copy()
    out_w, out_h = variant.input_size if whole else variant.crop_size
    base = WIDTH / variant.input_size[0]  # frame pixels an input pixel
    zoom = base * (1.0 if whole or rng.random() < 0.4 else float(rng.uniform(0.8, 1.2)))
    crop_w, crop_h = min(round(out_w * zoom), WIDTH), min(round(out_h * zoom), HEIGHT)
    x, y = int(rng.integers(0, WIDTH - crop_w + 1)), int(rng.integers(0, HEIGHT - crop_h + 1))
    if not whole and len(boxes) and crop_w < WIDTH and rng.random() < 0.75:
        # Most crops look at an object; the sky teaches little.
        x0, y0, x1, y1 = boxes[int(rng.integers(len(boxes)))]
        x = int(np.clip((x0 + x1) / 2 - crop_w * rng.uniform(0.15, 0.85), 0, WIDTH - crop_w))
        y = int(np.clip((y0 + y1) / 2 - crop_h * rng.uniform(0.15, 0.85), 0, HEIGHT - crop_h))
    image: NDArray[Any] = frames.images[index, y : y + crop_h, x : x + crop_w]
    if image.shape[:2] != (out_h, out_w):
        shrinks = crop_w > out_w
        image = cv2.resize(
            image, (out_w, out_h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    before = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    boxes = boxes - np.array([x, y, x, y], np.float32)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, crop_w)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, crop_h)
    after = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left = after / np.maximum(before, 1e-6)
    boxes *= np.array([out_w / crop_w, out_h / crop_h] * 2, np.float32)
    ignore |= (left < _MIN_LEFT) & (left < 0.999)
    keep = left > 0.02
    boxes, classes, ignore = boxes[keep], classes[keep], ignore[keep]
    if rng.random() < 0.5:
        image = image[:, ::-1]
        boxes[:, [0, 2]] = out_w - boxes[:, [2, 0]]
    if rng.random() < 0.5:
        gain, lift = rng.uniform(0.75, 1.25, 3) * rng.uniform(0.85, 1.15), rng.uniform(-12, 12)
        table = np.clip(np.arange(256)[:, None] * gain + lift, 0, 255).astype(np.uint8)
        image = cv2.LUT(np.ascontiguousarray(image), table.reshape(1, 256, 3))
    return np.ascontiguousarray(image), boxes, classes, ignore


def _collate(samples: list[Sample]) -> tuple[torch.Tensor, Targets]:
    most = max(max(len(s[1]) for s in samples), 1)
    count = len(samples)
    boxes, classes = np.zeros((count, most, 4), np.float32), np.zeros((count, most), np.int64)
    valid, skip = np.zeros((count, most), np.bool_), np.zeros((count, most), np.bool_)
    for i, (_, b, c, g) in enumerate(samples):
        boxes[i, : len(b)], classes[i, : len(b)] = b, c
        valid[i, : len(b)], skip[i, : len(b)] = ~g, g
    images = torch.from_numpy(np.stack([s[0] for s in samples]))
    targets = Targets(*(torch.from_numpy(a) for a in (boxes, classes, valid, skip)))
    return images.permute(0, 3, 1, 2).float().div_(255), targets
