"""Networks for tests of the engine: each version gives answers that nobody else gives."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from secondlook.cloud.engine.lifecycle import Opened
from secondlook.cloud.engine.local import LocalEngine
from secondlook.cloud.engine.tensors import Array, Signature, Tensors, TensorSpec
from secondlook.cloud.repository.config import Batching, ModelConfig, Release
from secondlook.cloud.repository.snapshot import Offer, Snapshot
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import InvalidModel, ModelFailure, NotFound, Unavailable
from secondlook.shared.values import Detections

NAMES = ("car",)
POISON = -13.0
MEMORY_BYTES = 1000


class NumberedBackend:
    """A network whose output is its input plus 1000 times its version; its boxes say so too.

    ``hold`` makes calls wait until ``release``; `wait_entered` waits until one has begun.
    """

    def __init__(self, release: Release) -> None:
        config = release.config
        spec = TensorSpec("x", "FP32", (2,))
        self.version = int(release.version)
        self.signature = Signature((spec,), (replace(spec, name="y"),), config.max_batch)
        self.device = "CPU"
        self.memory_bytes = MEMORY_BYTES
        self.info = ModelInfo(
            config.name, release.version, NAMES, 64, 64, "fake", "GPU", config.max_batch
        )
        self.closed = False
        self.calls: list[int] = []
        self.broken = False
        self._free = threading.Event()
        self._free.set()
        self._entered = threading.Semaphore(0)

    @property
    def detector(self) -> NumberedBackend:
        """It is its own detector."""
        return self

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def wait_entered(self) -> None:
        """Blocks until one more call has begun."""
        assert self._entered.acquire(timeout=10)

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        x = inputs["x"]
        self._called(len(x), bool((x == POISON).any()))
        return {"y": x + np.float32(1000 * self.version)}

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        self._called(len(images), any(image[0, 0, 0] == 13 for image in images))
        return [self._look(image, min_score) for image in images]

    def warm_up(self) -> None:
        self.run({"x": np.zeros((1, 2), np.float32)})

    def close(self) -> None:
        self.closed = True

    def _called(self, rows: int, poisoned: bool) -> None:
        if self.closed:
            raise Unavailable("closed")
        self.calls.append(rows)
        self._entered.release()
        assert self._free.wait(30)
        if self.broken or poisoned:
            raise ModelFailure("poisoned")

    def _look(self, image: Image, min_score: float) -> Detections:
        """One box as wide as the version, at the place that the first pixel names."""
        if min_score > 0.9:
            return Detections.empty(NAMES)
        x, y = float(image[0, 0, 1]), float(image[0, 0, 2])
        return Detections.of([[x, y, x + self.version, y + 5]], [0.9], [0], NAMES)


class Bench:
    """Opens `NumberedBackend`s, and is a `Source` of them.

    Attributes:
        opened: everything that was ever opened, in order.
        corrupt: digests that cannot be loaded.
    """

    def __init__(self, offers: Iterable[Offer] = ()) -> None:
        self.offers = {made.name: made for made in offers}
        self.opened: list[NumberedBackend] = []
        self.corrupt: set[str] = set()
        self.reads: list[tuple[str, str | None]] = []
        self.forgotten: list[str] = []
        self._free = threading.Event()
        self._free.set()
        self._opening = threading.Semaphore(0)

    def hold(self) -> None:
        """Loads wait."""
        self._free.clear()

    def release(self) -> None:
        """Loads go on."""
        self._free.set()

    def wait_opening(self) -> None:
        """Blocks until one more load has begun."""
        assert self._opening.acquire(timeout=10)

    def open(self, release: Release) -> Opened:
        # A process that ends must not wait for a load.
        assert threading.current_thread().daemon
        self._opening.release()
        assert self._free.wait(30)
        if release.digest in self.corrupt:
            raise InvalidModel(f"{release.file}: no model")
        backends = [NumberedBackend(release) for _ in range(release.config.instances[0].count)]
        self.opened += backends
        return Opened(release, backends)

    def names(self) -> Sequence[str]:
        return tuple(self.offers)

    def read(self, name: str, config_json: str | None = None) -> Offer:
        self.reads.append((name, config_json))
        found = self.offers.get(name)
        if found is None:
            raise NotFound(f"no model {name!r} in the repository")
        return found

    def forget(self, name: str) -> None:
        self.forgotten.append(name)

    def of(self, version: int) -> NumberedBackend:
        """The newest one opened of a version."""
        return next(one for one in reversed(self.opened) if one.version == version)


def offer(
    name: str,
    *versions: int,
    shares: Mapping[str, float] | None = None,
    salt: str = "",
    variants: Sequence[str] = (),
    **fields: Any,
) -> Offer:
    """A model with these versions, oldest first; ``salt`` makes it another content.

    The digest of a release is its version and the salt.
    """
    config = ModelConfig(
        name,
        "onnxruntime",
        max_batch=4,
        batching=Batching(),
        shares=shares or {},
        **fields,
    )
    releases = tuple(
        Release(config, str(number), Path(f"{name}/{number}"), variant, f"{number}{salt}")
        for number in versions
        for variant in ("fp32", *variants)
    )
    return Offer(name, config, releases)


def snapshot(*offers: Offer) -> Snapshot:
    """What a repository holds."""
    return Snapshot({made.name: made for made in offers})


@asynccontextmanager
async def engine_over(bench: Bench, *offers: Offer, **options: Any) -> AsyncIterator[LocalEngine]:
    """A running engine that serves the offers."""
    made = LocalEngine(
        registry=options.pop("registry", None) or CollectorRegistry(),
        open_release=bench.open,
        source=bench,
        **{"explicit": True, **options},
    )
    async with made.running() as engine:
        try:
            await engine.update(snapshot(*offers))
            yield engine
        finally:
            bench.release()
            for backend in bench.opened:
                backend.release()


def numbers(value: float, rows: int = 1) -> dict[str, Array]:
    """Tensors for a `NumberedBackend`."""
    return {"x": np.full((rows, 2), value, np.float32)}


def asked_picture(x: int, y: int = 0) -> Image:
    """A picture for a `NumberedBackend`, whose box begins at (x, y)."""
    image = np.zeros((64, 256, 3), np.uint8)
    image[0, 0] = (0, x, y)
    return image
