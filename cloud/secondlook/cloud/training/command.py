"""The command line: train, export, measure on streets never seen, write the card."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from secondlook.cloud.training.card import Facts, evaluate_onnx, write_card
from secondlook.cloud.training.data import TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS, render
from secondlook.cloud.training.evaluate import Scores
from secondlook.cloud.training.export import calibration, export
from secondlook.cloud.training.network import VARIANTS
from secondlook.cloud.training.train import Plan, load_state, train

_FRAMES_MEASURED = 16  # of each validation or held-out street

OPERATING_SCORE = {"light": 0.35, "heavy": 0.25}
"""The score of the best F1 on the validation streets is moved there: for the heavy variant the
default of ``fusion.verdict_score``, for the light one a score at which the gate is in doubt."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 when a model was written."""
    parser = argparse.ArgumentParser(prog="secondlook train street", description=__doc__)
    parser.add_argument("--variant", choices=sorted(VARIANTS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and model")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=60.0, help="length of the training")
    length.add_argument("--steps", type=int, help="length in optimiser steps")
    parser.add_argument(
        "--cache", type=Path, help="folder of rendered frames (default: OUT/frames)"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    parser.add_argument("--streets", type=int, default=len(TRAIN_SEEDS), help="training streets")
    parser.add_argument(
        "--export-only", action="store_true", help="export and measure the checkpoint in OUT"
    )
    args = parser.parse_args(argv)
    if not 1 <= args.streets <= len(TRAIN_SEEDS):
        parser.error(f"--streets must be 1 to {len(TRAIN_SEEDS)}")
    seeds = range(TRAIN_SEEDS.start, TRAIN_SEEDS.start + args.streets)
    cache: Path = args.cache or args.out / "frames"
    plan = Plan(args.steps, args.minutes, args.batch, cache=cache, workers=args.workers,
                threads=args.threads, train_seeds=seeds)  # fmt: skip
    if not args.export_only:
        train(args.variant, args.out, plan)
    publish(args.variant, args.out, plan)
    return 0


def publish(variant: str, out: Path, plan: Plan) -> Scores:
    """Export the checkpoint in `out`, measure it and write its card.

    Returns:
        The metrics on the held-out streets.
    """
    console = Console()
    state = load_state(variant, out)
    path = out / f"street_{variant}.onnx"
    export(state.average, path)
    frames = render(plan.cache, VALIDATION_SEEDS, _FRAMES_MEASURED, plan.workers)
    found = evaluate_onnx(path, frames).threshold
    export(state.average, path, calibration(found, OPERATING_SCORE[variant]))
    results = []
    for seeds in (VALIDATION_SEEDS, TEST_SEEDS):
        frames = render(plan.cache, seeds, _FRAMES_MEASURED, plan.workers)
        results.append(evaluate_onnx(path, frames))
        console.print(dataclasses.asdict(results[-1]))
    length = f"--minutes {plan.minutes:g}" if plan.steps is None else f"--steps {plan.steps}"
    length += f" --batch {plan.batch}"
    facts = Facts(
        command=f"python -m secondlook.cloud.training --variant {variant} --out OUT {length}",
        steps=state.step,
        minutes=state.elapsed_s / 60,
        batch=plan.batch,
        streets=plan.train_seeds,
        frames=len(plan.train_seeds) * plan.frames_per_seed,
    )
    write_card(path, variant, facts, results[0], results[1])
    return results[1]
