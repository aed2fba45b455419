"""One version of a model elsewhere: what it takes, and how its boxes are got."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.from_thread
import anyio.to_thread
import cv2
import numpy as np

from secondlook.cloud.backends.declared import detector_over, read_declared
from secondlook.cloud.backends.remote_backend import RemoteNetwork
from secondlook.cloud.engine.asking import Ask, Ran
from secondlook.cloud.engine.remote.client import RemoteServer
from secondlook.cloud.engine.statistics import Statistics
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.repository.bounds import FACE
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.rpc.inference import detection
from secondlook.oip import model_config_pb2 as config_pb
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo
from secondlook.shared.errors import InvalidInput, ModelFailure
from secondlook.shared.values import Detections

AskNetwork = Callable[
    [Tensors, Ask, tuple[str, ...]], Coroutine[Any, Any, tuple[dict[str, Array], Ran]]
]
"""Runs a network elsewhere once: tensors, who asks, outputs wanted."""


class Eyes(Protocol):
    """From a picture to boxes."""

    @property
    def info(self) -> ModelInfo:
        """What is known about the detector."""
        ...

    async def look(self, image: Image, ask: Ask, min_score: float) -> tuple[Detections, Ran]:
        """Boxes of one image; see `Serving.detect`."""
        ...


@dataclass(slots=True)
class RemoteModel:
    """One version.

    Attributes:
        name: its name.
        version: its version.
        signature: what it takes and gives.
        config: how it is run there.
        eyes: what makes a detector of it; ``None``: it is none.
        statistics: what it has done for us.
    """

    name: str
    version: str
    signature: Signature
    config: ModelConfig
    eyes: Eyes | None
    statistics: Statistics = field(init=False)

    def __post_init__(self) -> None:
        self.statistics = Statistics(self.name, self.version)


class FacedEyes:
    """A detector of another of our servers: it takes pictures itself (``<name>.detect``).

    They travel as PNG: what it sees is what we were given, to the last bit.

    Args:
        server: where it is.
        name: the detector's name.
        info: what is known about it.
        limiter: how many pictures are packed at once.
    """

    def __init__(
        self, server: RemoteServer, name: str, info: ModelInfo, limiter: anyio.CapacityLimiter
    ) -> None:
        self._server = server
        self._face = name + FACE
        self._limiter = limiter
        self.info = info

    async def look(self, image: Image, ask: Ask, min_score: float) -> tuple[Detections, Ran]:
        """See `Eyes.look`."""
        packed = await anyio.to_thread.run_sync(
            _packed, image, limiter=self._limiter, abandon_on_cancel=True
        )
        tensors: dict[str, Array] = {detection.IMAGE.name: packed}
        if min_score:
            tensors[detection.MIN_SCORE.name] = np.array([min_score], np.float32)
        found, ran = await self._server.infer(
            self._face,
            ask.version,
            detection.SIGNATURE,
            tensors,
            ask,
            ("boxes", "scores", "classes"),
        )
        try:
            boxes = Detections.of(
                found["boxes"], found["scores"], found["classes"], self.info.names
            )
        except (InvalidInput, ValueError) as error:
            raise ModelFailure(f"the model answered no boxes: {error}") from error
        return boxes, Ran(self.info.name, ran.version, ran.variant, 0.0, ran.infer_s, 1, ran.reason)


class NetworkEyes:
    """A bare network elsewhere: pictures are prepared, and boxes read, here.

    Preparing blocks, so it has threads; the calls in between are of the event loop.

    Args:
        first: a detector over it.
        make: makes another, for another thread.
        ask: asks the network, from the event loop.
        min_score: boxes below are not returned where the caller names no score.
        limiter: how many pictures are worked on at once.
    """

    def __init__(
        self,
        first: LinedDetector,
        make: Callable[[], LinedDetector],
        ask: AskNetwork,
        min_score: float,
        limiter: anyio.CapacityLimiter,
    ) -> None:
        self._idle = [first]
        self._make = make
        self._ask = ask
        self._min_score = min_score
        self._limiter = limiter
        self.info = first.detector.info

    async def look(self, image: Image, ask: Ask, min_score: float) -> tuple[Detections, Ran]:
        """See `Eyes.look`."""

        def work() -> tuple[Detections, Ran]:
            # Popping from and appending to a list is atomic; each is used by one thread at a time.
            try:
                lined = self._idle.pop()
            except IndexError:
                lined = self._make()
            try:
                with lined.line.to(self._ask, ask):
                    (found,) = lined.detector.detect([image], min_score or self._min_score)
                return found, lined.line.ran
            finally:
                self._idle.append(lined)

        return await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)


class Line:
    """From a detector's thread to the event loop that asks the server."""

    def __init__(self) -> None:
        self._open: tuple[AskNetwork, Ask] | None = None
        self.ran = Ran("", "")

    @contextmanager
    def to(self, network: AskNetwork, ask: Ask) -> Iterator[None]:
        """Who is asked, for whom, within the block."""
        self._open = network, ask
        try:
            yield
        finally:
            self._open = None

    def infer(
        self, inputs: Mapping[str, tuple[str, Array]], outputs: tuple[str, ...]
    ) -> dict[str, Array]:
        """Ask; from a thread that the event loop has started."""
        if self._open is None:
            raise ModelFailure("the network was asked outside of a request")
        network, ask = self._open
        tensors: Tensors = {name: array for name, (_, array) in inputs.items()}
        found, self.ran = anyio.from_thread.run(network, tensors, ask, outputs)
        return found

    def close(self) -> None:
        """The channel is not its own."""


@dataclass(frozen=True, slots=True)
class LinedDetector:
    """A detector whose network asks through the line."""

    detector: Detector
    line: Line


def bare_detector(
    config: ModelConfig, version: str, signature: Signature, network: AskNetwork, ask: Ask
) -> LinedDetector | None:
    """A detector over a bare network; ``None`` where it is none. From a thread.

    Args:
        config: how it is run; its parameters may say how to read it.
        version: its version.
        signature: what it takes and gives.
        network: asks it.
        ask: for whom, where it has to run to tell its shapes.

    Raises:
        InvalidModel, InvalidConfig: it is called a detector, but cannot be read as one.
    """
    line = Line()
    release = Release(config, version, Path(config.name))
    with line.to(network, ask):
        detector = detector_over(
            RemoteNetwork(line, signature), release, read_declared(config), {}, 1
        )
    return None if detector is None else LinedDetector(detector, line)


def face_info(told: config_pb.ModelConfig) -> ModelInfo | None:
    """What another of our servers says of a detector; ``None`` where it says nothing."""
    if detection.INFO not in told.parameters:
        return None
    try:
        said = json.loads(told.parameters[detection.INFO].string_value)
        return ModelInfo(**{**said, "names": tuple(said["names"])})
    except (ValueError, TypeError, KeyError):
        return None


def _packed(image: Image) -> Array:
    ok, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not ok:
        raise InvalidInput("the picture cannot be packed")
    packed: Array = np.empty(1, np.object_)
    packed[0] = data.tobytes()
    return packed
