"""Painted clips of two cameras, and two tiny models that read them differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.clips import write_clip
from support.networks import blank, paint, write_bright_spot_model

FRAMES, FPS = 16, 10.0


def painted(number: int, side: int) -> np.ndarray:
    """A car that both models see, and a person of whom the light one is unsure."""
    image = blank(160, 96)
    paint(image, (8, 8, 8 + side, 40), "car", score=1.0)
    if number % 4 != 3:
        paint(image, (80, 40, 120, 80), "person", score=0.5)
    image[90:, : number * 8] = 90  # something that moves
    return image


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """16 frames at 10 fps each, 160x96."""
    folder = tmp_path_factory.mktemp("clips")
    north = write_clip(folder / "north.mp4", (painted(i, 32) for i in range(FRAMES)), fps=FPS)
    south = write_clip(folder / "south.mp4", (painted(i, 24) for i in range(FRAMES)), fps=FPS)
    return north, south


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives half the score that was painted."""
    return write_bright_spot_model(tmp_path_factory.mktemp("light") / "light.onnx", gain=0.55)


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives the score that was painted."""
    return write_bright_spot_model(tmp_path_factory.mktemp("heavy") / "heavy.onnx")
