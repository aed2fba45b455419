"""Pictures, encoders and comparisons for tests of the canvas stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.shared.values import Placement

Image = npt.NDArray[np.uint8]


def scene(width: int, height: int, shift: int = 0, seed: int = 7) -> Image:
    """A smooth picture with an object that moves by ``shift`` pixels; uint8 (h, w, 3) BGR."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    image = np.stack(
        [
            120 + 60 * np.sin(across / rng.uniform(9, 30) + down / rng.uniform(9, 30))
            for _ in range(3)
        ],
        axis=2,
    )
    left, top = (width // 4 + shift) % max(1, width - 24), height // 3
    image[top : top + 24, left : left + 24] = (30, 60, 220)
    return np.clip(image, 0, 255).astype(np.uint8)


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Peak signal to noise, dB; 99 for equal pictures."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def cut(image: Image, place: Placement) -> Image:
    """The pixels of a placement."""
    return image[place.y : place.y + place.height, place.x : place.x + place.width]
