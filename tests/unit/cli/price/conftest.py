"""A painted clip, and two tiny models that read it differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.clips import write_clip
from support.networks import blank, paint, write_bright_spot_model

FRAMES, FPS = 12, 10.0
SURE, UNSURE = (8, 8, 40, 40), (80, 40, 120, 80)


def painted(number: int) -> np.ndarray:
    """A car that both models see, and a person whom the light one takes for something else."""
    image = blank(160, 96)
    paint(image, SURE, "car", score=1.0)
    paint(image, UNSURE, "person", score=0.6)
    image[90:, : number * 8] = 90  # something that moves
    return image


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames at 10 fps, 160x96."""
    path = tmp_path_factory.mktemp("clip") / "painted.mp4"
    return write_clip(path, (painted(i) for i in range(FRAMES)), fps=FPS)


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives half the score that was painted, and takes persons for bottles."""
    names = ("bottle", "car", "person")
    path = tmp_path_factory.mktemp("light") / "light.onnx"
    return write_bright_spot_model(path, gain=0.55, names=names)


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives the score that was painted."""
    return write_bright_spot_model(tmp_path_factory.mktemp("heavy") / "heavy.onnx")
