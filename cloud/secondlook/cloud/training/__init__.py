"""Training of the two shipped detectors on the simulated street (needs the `torch` extra).

`train(variant, out, plan)` trains, `main(argv)` also exports, measures and writes the card.
"""

from secondlook.cloud.training.command import main
from secondlook.cloud.training.network import VARIANTS
from secondlook.cloud.training.train import Plan, train

__all__ = ["VARIANTS", "Plan", "main", "train"]
