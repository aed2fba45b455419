"""Pieces of an edge daemon for tests: frames, a scripted detector, camera and cloud.

::

    async with FakeCloud().running() as cloud:
        daemon = make_daemon(edge_settings(cloud.address), ScriptedDetector(), {"a": Film(10)})
        await daemon.run()
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import grpc
import grpc.aio
import numpy as np
from prometheus_client import CollectorRegistry
from typing_extensions import Self

from secondlook.edge.capture.captured import CapturedFrame
from secondlook.edge.daemon import Daemon
from secondlook.edge.gate.opening import OpenGate
from secondlook.edge.settings import EdgeSettings
from secondlook.edge.sinks import Event
from secondlook.rpc.v1 import escalation_pb2_grpc
from secondlook.shared.clock import SystemClock
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.values import Detections, Escalation, Frame, Verdict
from secondlook.shared.wire.escalation import request_from_proto, verdict_to_proto
from support.waiting import until_beside

NAMES = ("person", "car", "bottle")
Box = tuple[float, float, float, float]
Seen = tuple[Box, float, str]
"""A box, its score, its class name."""


def seen(*boxes: Seen, names: tuple[str, ...] = NAMES) -> Detections:
    """Detections written out."""
    return Detections.of(
        [box for box, _, _ in boxes],
        [score for _, score, _ in boxes],
        [names.index(name) for _, _, name in boxes],
        names,
    )


def picture(width: int = 320, height: int = 240, grey: int = 90) -> np.ndarray:
    """A grey picture, uint8 (height, width, 3)."""
    return np.full((height, width, 3), grey, np.uint8)


def textured(width: int = 320, height: int = 240, seed: int = 0) -> np.ndarray:
    """A picture with something to see everywhere."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.kron(noise, np.ones((8, 8, 1), np.uint8))


def frame(
    sequence: int,
    image: np.ndarray | None = None,
    *,
    camera: str = "gate",
    captured_s: float | None = None,
) -> Frame:
    """A frame; its capture time is its number in tenths of a second where not given."""
    at = sequence / 10 if captured_s is None else captured_s
    return Frame.of(
        picture() if image is None else image,
        camera=camera,
        sequence=sequence,
        captured_s=at,
        captured_at=1_700_000_000 + at,
    )


def verdict(asked: Escalation, *boxes: Seen, names: tuple[str, ...] = NAMES) -> Verdict:
    """What a cloud answers."""
    return Verdict(
        asked.request_id,
        asked.camera,
        asked.sequence,
        asked.regions,
        seen(*boxes, names=names),
        "heavy",
        "1",
        asked.purpose,
    )


class ScriptedDetector:
    """A `Detector` that says what it is told; frames are told apart by nothing but their order.

    Args:
        says: what it sees: the same each time, or a function of the images that may raise.
        max_batch: most images in a call.
    """

    def __init__(
        self,
        says: Detections | Callable[[Sequence[np.ndarray]], list[Detections]] | None = None,
        *,
        max_batch: int = 1,
    ) -> None:
        self._says = seen() if says is None else says
        self.calls: list[int] = []
        self.info = ModelInfo("light", "1", NAMES, 64, 64, "yolox", "CPU", max_batch)

    def detect(self, images: Sequence[np.ndarray], min_score: float = 0.05) -> list[Detections]:
        self.calls.append(len(images))
        if callable(self._says):
            return self._says(images)
        return [self._says] * len(images)

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Film:
    """What a camera shows: frames, then its end or an error.

    Attributes:
        length: frames; ``None`` goes on for ever.
        image: of each frame.
        error: raised at the end.
        wait_for: called before frame ``n``; for keeping cameras in step.
        fps: frames a second of stream time.
        runs: how often it has been played.
    """

    length: int | None = 10
    image: Callable[[int], np.ndarray] = lambda _: picture()
    error: BaseException | None = None
    wait_for: Callable[[int], Any] | None = None
    fps: float = 10.0
    runs: int = 0
    given: list[int] = field(default_factory=list)


def paced_film(pictures: Sequence[np.ndarray], pause_s: float) -> Film:
    """The same pictures again and again, as from a camera that has so long between its frames.

    Without a pause the cameras of one process would leave no processor to what they talk with.
    """

    async def pace(_: int) -> None:
        await anyio.sleep(pause_s)

    return Film(None, image=lambda n: pictures[n % len(pictures)], wait_for=pace)


class FakeCapture:
    """A capture that plays a film."""

    def __init__(self, camera: str, film: Film) -> None:
        self._camera = camera
        self._film = film

    async def __aenter__(self) -> Self:
        self._film.runs += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def frames(self) -> AsyncIterator[CapturedFrame]:
        n = 0
        while self._film.length is None or n < self._film.length:
            if self._film.wait_for is not None:
                await self._film.wait_for(n)
            await anyio.lowlevel.checkpoint()
            self._film.given.append(n)
            now_s = SystemClock().monotonic()
            image = self._film.image(n)
            yield CapturedFrame(
                frame(n, image, camera=self._camera, captured_s=now_s), n / self._film.fps
            )
            n += 1
        if self._film.error is not None:
            raise self._film.error


class MemorySink:
    """A `Sink` that keeps what it is given, or fails."""

    def __init__(
        self, *, name: str = "memory", error: Exception | None = None, images: bool = False
    ) -> None:
        self.name = name
        self.wants_images = images
        self.events: list[Event] = []
        self.closed = False
        self.error = error

    def write(self, events: Sequence[Event]) -> None:
        if self.error is not None:
            raise self.error
        self.events += events

    def close(self) -> None:
        self.closed = True

    def answers(self, camera: str | None = None) -> list[Event]:
        """The answers, without the revisions."""
        return [
            event
            for event in self.events
            if not event.observation.revision and camera in (None, event.observation.frame.camera)
        ]

    def revisions(self) -> list[Event]:
        """The revisions."""
        return [event for event in self.events if event.observation.revision]


class FakeCloud(escalation_pb2_grpc.EscalationServicer):
    """An `Escalation` service on loopback that answers with a function.

    Attributes:
        asked: what it was asked.
        statuses: gRPC statuses that the next calls get instead of an answer.
        hold: calls wait for this event before they are answered.
    """

    def __init__(self, judge: Callable[[Escalation], Verdict] | None = None) -> None:
        self._judge = judge or (lambda asked: verdict(asked))
        self.asked: list[Escalation] = []
        self.statuses: list[grpc.StatusCode] = []
        self.hold: anyio.Event | None = None
        self.arrived = anyio.Event()
        self.address = ""
        self._server: grpc.aio.Server | None = None

    async def Escalate(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        escalation = request_from_proto(request)
        self.asked.append(escalation)
        self.arrived.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.statuses:
            await context.abort(self.statuses.pop(0), "told to")
        return verdict_to_proto(self._judge(escalation))

    async def stop(self) -> None:
        """Go away, before the block of `running` ends."""
        assert self._server is not None
        await self._server.stop(0)

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[FakeCloud]:
        """Serve while the block runs."""
        server = grpc.aio.server()
        escalation_pb2_grpc.add_EscalationServicer_to_server(self, server)
        self.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        await server.start()
        self._server = server
        try:
            yield self
        finally:
            if self.hold is not None:
                self.hold.set()
            await server.stop(0)


def edge_settings(
    address: str | None = None, *, cameras: Sequence[str] = ("gate",), **sections: Any
) -> EdgeSettings:
    """Settings of a daemon whose cameras are fakes, paced as fast as possible."""
    uplink = {
        "enabled": address is not None,
        "spool": {"enabled": False},
        **sections.pop("uplink", {}),
    }
    if address is not None:
        uplink["address"] = address
    return EdgeSettings.model_validate(
        {
            "cameras": [{"id": name, "url": "sim://fake", "pacing": "asap"} for name in cameras],
            "uplink": uplink,
            "run": {"restart_initial_s": 0.01, "restart_max_s": 0.02},
            "trust": {"audit_rate": 0.0, **sections.pop("trust", {})},
            # The fake cloud takes no canvases.
            "regions": {"carrier": "mosaic", **sections.pop("regions", {})},
            "memory": {"enabled": False, **sections.pop("memory", {})},
            "decisions": {"enabled": False, **sections.pop("decisions", {})},
            **sections,
        }
    )


def make_daemon(
    settings: EdgeSettings,
    detector: ScriptedDetector,
    films: dict[str, Film],
    *,
    sinks: Sequence[Any] = (),
    registry: CollectorRegistry | None = None,
    gate: OpenGate | None = None,
) -> Daemon:
    """A daemon over fakes."""
    return Daemon(
        settings,
        detector,
        lambda camera: FakeCapture(camera.id, films[camera.id]),
        SystemClock(),
        registry or CollectorRegistry(),
        sinks=list(sinks),
        gate=gate,
    )


class EdgeProcess:
    """``secondlook edge run`` as a real process, writing JSON lines into its folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.lines = folder / "out.jsonl"
        self.log = folder / "edge.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "secondlook.cli", "edge", "run", "--no-progress"),
                    *("--jsonl", str(self.lines), "--metrics-port", "0", *arguments),
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
                # Nothing is remembered in the home of whoever runs the tests.
                env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
            )

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(60)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def documents(self) -> list[dict[str, Any]]:
        """What it has said so far."""
        text = self.lines.read_text() if self.lines.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """What it has said once a condition holds; see `until_beside`."""
        said: list[dict[str, Any]] = []

        def holds() -> bool:
            said[:] = self.documents()
            return condition(said)

        self.until_true(holds)
        return said

    def until_true(self, condition: Callable[[], bool]) -> None:
        """Return once it has brought something about; see `until_beside`."""
        until_beside(self.process, self.log, condition)


@contextlib.contextmanager
def edge_process(folder: Path, *arguments: str) -> Iterator[EdgeProcess]:
    """The daemon as a process, gone at the end whatever happens."""
    running = EdgeProcess(folder, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
