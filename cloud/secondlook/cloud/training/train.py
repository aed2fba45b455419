"""The training loop: AdamW, one cosine cycle, averaged weights, resumable at any moment."""

from __future__ import annotations

import contextlib
import copy
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from secondlook.cloud.training.data import (
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    FrameSet,
    batches,
    render,
)
from secondlook.cloud.training.loss import detection_loss
from secondlook.cloud.training.network import VARIANTS, Detector, Variant

_PEAK_RATE = 3e-3
_WEIGHT_DECAY = 0.03
_WARM_SHARE = 0.03
_WHOLE_SHARE = 0.12  # of the schedule, at its end: full frames, as they will be met
_CHECKPOINT_S = 60.0


@dataclass(frozen=True)
class Plan:
    """How long and with what to train.

    Attributes:
        steps: length in optimiser steps; None means `minutes` decide.
        minutes: length in minutes of training, checkpoints and resumes included.
        batch: crops a step.
        frames_per_seed: frames rendered of each training street.
        cache: folder of the rendered frames.
        workers: processes that render.
        threads: torch threads.
        train_seeds, validation_seeds: the streets.
    """

    steps: int | None = None
    minutes: float = 60.0
    batch: int = 16
    frames_per_seed: int = 10
    cache: Path = Path("street-frames")
    workers: int = 2
    threads: int = 2
    train_seeds: range = TRAIN_SEEDS
    validation_seeds: range = VALIDATION_SEEDS


class TrainingState:
    """Everything a checkpoint holds."""

    def __init__(self, variant: Variant) -> None:
        torch.manual_seed(0)
        self.network = Detector(variant)
        self.average: Detector = copy.deepcopy(self.network).eval()
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": _WEIGHT_DECAY},
             {"params": plain, "weight_decay": 0.0}], lr=_PEAK_RATE, betas=(0.9, 0.99),
        )  # fmt: skip
        self.step, self.elapsed_s = 0, 0.0

    def save(self, path: Path) -> None:
        """Write a checkpoint; the former one stays until the new one is complete."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "elapsed_s": self.elapsed_s,
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Take over a checkpoint."""
        held: dict[str, Any] = torch.load(path, weights_only=True)
        self.network.load_state_dict(held["network"])
        self.average.load_state_dict(held["average"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.step, self.elapsed_s = held["step"], held["elapsed_s"]

    def follow(self) -> None:
        """Move the averaged weights towards the trained ones."""
        keep = min(0.9985, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            for slow, fast in zip(
                self.average.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                if slow.dtype.is_floating_point:
                    slow.lerp_(fast, 1 - keep)
                else:
                    slow.copy_(fast)


def learning_rate(share: float) -> float:
    """Learning rate after `share` (0..1) of the schedule: a short rise, then half a cosine."""
    if share < _WARM_SHARE:
        return _PEAK_RATE * (0.05 + 0.95 * share / _WARM_SHARE)
    fall = (share - _WARM_SHARE) / (1 - _WARM_SHARE)
    return _PEAK_RATE * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(fall, 1.0))))


def train(variant: str, out: Path, plan: Plan) -> Detector:
    """Train `light` or `heavy`; resumes from `out` where a checkpoint lies there.

    Ctrl-C and SIGTERM write the checkpoint before the loop ends.

    Returns:
        The network with the averaged weights, in evaluation mode.

    Raises:
        ValueError: unknown variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r} is not one of {', '.join(VARIANTS)}")
    shape = VARIANTS[variant]
    torch.set_num_threads(plan.threads)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"street_{variant}.pt"
    state = TrainingState(shape)
    if checkpoint.exists():
        state.load(checkpoint)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("rendering", total=1.0)
        frames = render(
            plan.cache, plan.train_seeds, plan.frames_per_seed, plan.workers,
            lambda share: progress.update(bar, completed=share),
        )  # fmt: skip
        with _stop_on_signal() as stopped:
            _loop(state, shape, frames, plan, checkpoint, progress, stopped)
    return state.average


def _loop(
    state: TrainingState,
    variant: Variant,
    frames: FrameSet,
    plan: Plan,
    checkpoint: Path,
    progress: Progress,
    stopped: list[bool],
) -> None:
    crops = batches(frames, variant, plan.batch, seed=state.step)
    wholes = batches(frames, variant, max(plan.batch // 4, 1), seed=state.step + 1, whole=True)
    bar = progress.add_task(f"training {variant.name}", total=1.0)
    last = saved = time.monotonic()
    state.network.train()
    while not stopped:
        share = (
            state.step / plan.steps if plan.steps is not None
            else state.elapsed_s / (60 * plan.minutes)
        )  # fmt: skip
        if share >= 1:
            break
        whole = share > 1 - _WHOLE_SHARE and variant.input_size != variant.crop_size
        parts = _step(state, next(wholes if whole else crops), learning_rate(share),
                      variant.input_size if whole else variant.crop_size)  # fmt: skip
        now = time.monotonic()
        state.elapsed_s += now - last
        last = now
        if state.step % 50 == 0:
            progress.update(bar, completed=share, description=(
                f"training {variant.name}: step {state.step}, class {parts['class']:.3f}, "
                f"box {parts['box']:.3f}"
            ))  # fmt: skip
        if now - saved > _CHECKPOINT_S:
            state.save(checkpoint)
            saved = now
    state.save(checkpoint)


def _step(
    state: TrainingState, batch: tuple[torch.Tensor, Any], rate: float, size: tuple[int, int]
) -> dict[str, float]:
    images, targets = batch
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    # bfloat16 convolutions are several times faster where the CPU has them, and as good here.
    with torch.autocast("cpu", torch.bfloat16):
        boxes, logits = state.network(images)
    loss, parts = detection_loss(boxes, logits, targets, size)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
    nn.utils.clip_grad_norm_(state.network.parameters(), 10.0)
    state.optimizer.step()
    state.step += 1
    state.follow()
    return parts


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[list[bool]]:
    """A list that is no longer empty once someone asked to stop."""
    stopped: list[bool] = []

    def stop(_: int, __: FrameType | None) -> None:
        stopped.append(True)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def load_state(variant: str, out: Path) -> TrainingState:
    """The state held by the checkpoint in `out`."""
    state = TrainingState(VARIANTS[variant])
    state.load(out / f"street_{variant}.pt")
    return state
