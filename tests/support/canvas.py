"""Pictures, encoders and comparisons for tests of the canvas stream."""

from __future__ import annotations

from typing import Any

import anyio
import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

from secondlook.edge.carrier import CanvasEncoder, CanvasSettings
from secondlook.edge.regions import Canonical
from secondlook.edge.uplink.session import SessionUplink
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import SecondlookError, StateLost
from secondlook.shared.values import (
    CanvasUpdate,
    Escalation,
    Placement,
    Purpose,
    Region,
    Verdict,
)
from secondlook.shared.wire.canvas import Opening, update_to_proto
from support.waiting import until

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


class Asker:
    """The edge's end of a canvas stream, as messages: an encoder, an index, an opening.

    Args:
        width, height: of the native frames.
        canonical: width of the canvas at most.
        camera: id of the camera.
    """

    def __init__(
        self, width: int, height: int, *, canonical: int = 640, camera: str = "cam"
    ) -> None:
        self.index = 0
        self.frame = Canonical.of(width, height, canonical)
        self.camera = camera
        self._encoder = CanvasEncoder(CanvasSettings())
        self._opening: Opening | None = None
        self._last: CanvasUpdate | None = None

    def escalation(
        self,
        image: Image,
        regions: tuple[Region, ...] = (),
        purpose: Purpose = Purpose.UNSURE,
        **fields: Any,
    ) -> Escalation:
        """The next update; of the whole frame where no regions are given."""
        carried = self._encoder.encode(
            image, regions or (self.frame.whole(),), self.frame, 10_000_000
        )
        self._last = carried.canvas
        return Escalation(
            request_id=f"q-{self.index + 1}",
            camera=self.camera,
            sequence=self.index,
            captured_at=1_700_000_000.0,
            frame_width=self.frame.native_width,
            frame_height=self.frame.native_height,
            image=carried.image,
            encoding=carried.encoding,
            placements=carried.placements,
            purpose=purpose,
            canvas=carried.canvas,
            **fields,
        )

    def request(
        self,
        image: Image,
        regions: tuple[Region, ...] = (),
        purpose: Purpose = Purpose.UNSURE,
        **fields: Any,
    ) -> pb.SessionRequest:
        """The next message of the stream."""
        escalation = self.escalation(image, regions, purpose, **fields)
        self.index += 1
        message = update_to_proto(escalation, self._opening)
        self._opening = Opening.of(escalation, self._opening)
        return pb.SessionRequest(index=self.index, canvas=message)

    def lost(self) -> None:
        """The last update did not arrive: the next is a key frame."""
        self._encoder.lost(self._last)


class Camera(Asker):
    """An `Asker` that is told what became of its updates, as a pipeline would be.

    Attributes:
        verdicts: those that came.
        failures: errors of the updates that got none.
        sent: updates that were submitted, by frame.
    """

    def __init__(self, width: int, height: int, **fields: Any) -> None:
        super().__init__(width, height, **fields)
        self.verdicts: list[Verdict] = []
        self.failures: list[SecondlookError] = []
        self.sent: dict[int, Escalation] = {}
        self._changed = anyio.Event()

    async def ask(
        self, uplink: SessionUplink, image: Image, regions: tuple[Region, ...] = (), **fields: Any
    ) -> Escalation:
        """Submit the next update."""
        self.index += 1
        escalation = self.escalation(image, regions, **fields)
        self.sent[escalation.sequence] = escalation
        await uplink.submit(escalation, self)
        return escalation

    async def asked_until_answered(
        self, uplink: SessionUplink, image: Image, regions: tuple[Region, ...] = ()
    ) -> Escalation:
        """Submit updates one after the other until one is answered; that one."""
        with anyio.fail_after(30):
            while True:
                before = len(self.verdicts)
                escalation = await self.ask(uplink, image, regions)
                await self.settled()
                if len(self.verdicts) > before:
                    return escalation
                await until(lambda: uplink.accepting)

    async def settled(self) -> None:
        """Return once every update has its verdict or its error."""
        with anyio.fail_after(30):
            while len(self.verdicts) + len(self.failures) < len(self.sent):
                await self._changed.wait()

    def verdict(self, verdict: Verdict) -> None:
        """See `secondlook.edge.uplink.Reply`."""
        self.verdicts.append(verdict)
        self._wake()

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        """See `secondlook.edge.uplink.Reply`."""
        self.failures.append(error)
        if isinstance(error, StateLost):
            self._encoder.lost(escalation.canvas)
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def session_uplink(address: str, **changes: object) -> SessionUplink:
    """An uplink that tries again quickly."""
    quick = {"backoff_initial_s": 0.001, "reconnect_max_s": 0.1, "breaker": {"enabled": False}}
    settings = UplinkSettings.model_validate({"address": address, **quick, **changes})
    return SessionUplink(settings, SystemClock(), CollectorRegistry())
