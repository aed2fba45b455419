"""Light, rain, sensor noise, blur and compression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from secondlook.shared.sim.brush import Image
from secondlook.shared.sim.config import StreetConfig

_Whole = TypeVar("_Whole", np.uint8, np.int16)
_BANK = 96  # spare pixels of a pre-drawn pattern, from which each frame takes another part


@dataclass(frozen=True)
class Conditions:
    """The state of light and weather at one moment.

    Attributes:
        hour: 0..24.
        daylight: 0 (night) .. 1 (day).
        warmth: 0..1, the low sun's colour.
        rain: 0..1.
        noise: standard deviation of the sensor noise, grey levels.
        blur: standard deviation of the defocus, pixels.
        quality: JPEG quality, 10..100.
        shake: how far the picture is shifted, whole pixels (x, y).
        sun: shadow of a thing one metre tall, metres (x, z).
    """

    hour: float
    daylight: float
    warmth: float
    rain: float
    noise: float
    blur: float
    quality: int
    shake: tuple[int, int]
    sun: tuple[float, float]


def conditions_at(config: StreetConfig, time_s: float) -> Conditions:
    """Conditions of the street of `config` at `time_s` seconds."""
    phases = np.random.default_rng((config.seed, 7)).random(12).tolist()

    def wave(index: int, period_s: float) -> float:
        return 0.5 + 0.5 * math.sin(2 * math.pi * (time_s / period_s + phases[index]))

    if config.hour is None:
        hour = (8.0 + 8 * phases[0] + 24.0 * time_s / config.day_s) % 24
    else:
        hour = config.hour % 24
    height = math.sin(2 * math.pi * (hour - 6) / 24)  # of the sun
    daylight = min(max(0.5 + 2.2 * height, 0.0), 1.0)
    warmth = max(0.0, 1 - abs(height) / 0.35)
    rain = max(0.0, 2.2 * wave(1, 71.0) - 1.35) if config.rain is None else config.rain
    gloom = 1 - daylight
    noise = config.noise * (1.2 + 1.2 * wave(2, 43.0) + 3.4 * gloom)
    blur = config.blur * (0.15 + 0.75 * wave(3, 37.0) ** 3 + 0.3 * rain)
    quality = int(93 - 38 * wave(4, 53.0)) if config.quality is None else config.quality
    sway = 1.1 * config.shake * (0.3 + wave(5, 29.0))
    dx = sway * math.sin(2 * math.pi * (0.83 * time_s + phases[6]))
    dy = 0.7 * sway * math.sin(2 * math.pi * (1.27 * time_s + phases[7]))
    east = (hour - 12) / 6  # the shadow turns from left to right
    reach = min(0.25 + 0.9 * abs(east), 1.6)
    sun = (reach * (1 if east > 0 else -1) * (0.4 + 0.6 * abs(east)), 0.25 + 0.5 * phases[8])
    return Conditions(hour, daylight, warmth, rain, noise, blur, quality,
                      (round(dx), round(dy)), sun)  # fmt: skip


def apply_light(
    image: Image, now: Conditions, lamplight: NDArray[np.float32], glow: Image | None
) -> None:
    """Darken and tint by the hour, brighten under lamps, add what glows (same shape); in place."""
    gloom = 1 - now.daylight
    dull = 1 - 0.14 * now.rain
    tint = np.array([1 - 0.16 * now.warmth, 1 - 0.03 * now.warmth, 1 + 0.06 * now.warmth])
    night = np.array([0.42, 0.37, 0.35])
    level = (night + (1 - night) * now.daylight) * tint * dull
    if gloom > 0.05:
        lit = np.array([0.3, 0.42, 0.5]) * gloom
        steps = [
            cv2.convertScaleAbs(lamplight, alpha=255 * lamp, beta=255 * sky)
            for lamp, sky in zip(lit.tolist(), level.tolist(), strict=True)
        ]
        cv2.multiply(image, cv2.merge(steps), dst=image, scale=1 / 255)
    else:
        table = np.clip(np.arange(256)[:, None] * level, 0, 255).astype(np.uint8)
        cv2.LUT(image, table.reshape(1, 256, 3), dst=image)
    if glow is not None:
        cv2.add(image, glow, dst=image)


def apply_rain(image: Image, rain: float, rng: np.random.Generator) -> None:
    """Haze and streaks, in place."""
    if rain < 0.02:
        return
    mean = cv2.mean(image)
    haze = 0.22 * rain
    table = np.stack([
        np.clip(np.arange(256) * (1 - haze) + haze * (0.6 * m + 50), 0, 255) for m in mean[:3]
    ], axis=1).astype(np.uint8)  # fmt: skip
    cv2.LUT(image, table.reshape(1, 256, 3), dst=image)
    streaks = _streaks(image.shape[1], image.shape[0], int(rng.integers(4)), round(rain * 5))
    cv2.add(image, _part(streaks, image.shape, rng), dst=image)


def apply_sensor(image: Image, now: Conditions, rng: np.random.Generator) -> Image:
    """Defocus, noise and compression, in the order of a camera; the picture may be overwritten."""
    if now.blur > 0.3:
        kernel = (5, 5) if now.blur < 1.2 else (0, 0)
        cv2.GaussianBlur(image, kernel, now.blur, dst=image)
    level = round(now.noise * 2)
    if level > 0:
        bank = _noise(image.shape[1], image.shape[0], level)
        cv2.add(image, _part(bank, image.shape, rng), dst=image, dtype=cv2.CV_8U)
    if now.quality < 100:
        ok, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, now.quality))
        if not ok:
            raise RuntimeError("OpenCV was built without a JPEG encoder")
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image


def _part(
    bank: NDArray[_Whole], shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[_Whole]:
    x, y = (int(v) for v in rng.integers(0, _BANK, 2))
    return bank[y : y + shape[0], x : x + shape[1]]


@lru_cache(maxsize=20)
def _noise(width: int, height: int, level: int) -> NDArray[np.int16]:
    """Gaussian noise of `level` half grey levels, mostly in luma; int16 (H', W', 3)."""
    rng = np.random.default_rng(level)
    shape = (height + _BANK, width + _BANK)
    luma = rng.normal(0, 0.85, (*shape, 1))
    chroma = rng.normal(0, 0.5, (*shape, 3))
    return np.rint((luma + chroma) * level / 2).astype(np.int16)


@lru_cache(maxsize=24)
def _streaks(width: int, height: int, variant: int, strength: int) -> Image:
    rng = np.random.default_rng((variant, strength))
    image = np.zeros((height + _BANK, width + _BANK, 3), np.uint8)
    size = width / 640
    for _ in range(140 + 90 * strength):
        x, y = rng.uniform(0, image.shape[1]), rng.uniform(0, image.shape[0])
        long, light = rng.uniform(5, 17) * size, int(rng.uniform(14, 60))
        end = (int(x + 0.15 * long), int(y + long))
        cv2.line(image, (int(x), int(y)), end, (light, light, light), 1, cv2.LINE_AA)
    return image
