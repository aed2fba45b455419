"""An uplink that carries canvases too: a stream for each camera beside the calls for mosaics."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType

from prometheus_client import CollectorRegistry

from secondlook.edge.control.link import Link
from secondlook.edge.uplink.channel import UplinkState
from secondlook.edge.uplink.client import Uplink
from secondlook.edge.uplink.session_stream import CameraStream, Way
from secondlook.edge.uplink.session_wire import SentUpdates, session_bytes
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.edge.uplink.waiting import Fare, Reply, Waiting
from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.errors import StateLost
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Escalation

_log = get_logger(__name__)
_INDEX_BYTES = 9
"""By how much the number of an update may be longer than that of the first."""


class SessionUplink(Uplink):
    """`Uplink`, for both carriers: what is no update of a canvas goes the old way.

    An update is sent once, in order, or not at all. One that fails with `StateLost` must be told
    to its encoder (`Carrier.lost`), which then gives a key frame; after other failures the canvas
    in the cloud is as the encoder thinks.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        clock: Clock,
        registry: CollectorRegistry,
        link: Link | None = None,
    ) -> None:
        super().__init__(settings, clock, registry, link)
        self._streams: dict[str, CameraStream] = {}
        self._refused = False

    @property
    def takes_canvases(self) -> bool:
        """Whether the cloud takes updates of canvases, as far as is known of this connection."""
        return not self._refused

    @property
    def pending(self) -> int:
        """Questions taken in and not yet answered."""
        return super().pending + sum(stream.pending for stream in self._streams.values())

    def wire_bytes(self, escalation: Escalation) -> int:
        """Estimate of what an attempt takes on the wire, framing included."""
        if escalation.canvas is None:
            return super().wire_bytes(escalation)
        message = SentUpdates().message(self._timed(escalation))
        if not escalation.canvas.key:
            message.canvas.ClearField("opening")
        return session_bytes(
            message.ByteSize() + _INDEX_BYTES,
            tls=self._settings.tls.enabled,
            first=escalation.canvas.key,
        )

    async def submit(
        self, escalation: Escalation, reply: Reply, *, block: bool = False, fare: Fare | None = None
    ) -> None:
        """Take in a question; see `Uplink.submit`.

        The updates of a camera MUST be submitted in the order in which they were encoded. Where
        too many wait, it is the newest that fails, not the oldest: what waits builds on it.
        """
        if escalation.canvas is None:
            await super().submit(escalation, reply, block=block, fare=fare)
            return
        escalation = self._timed(escalation)
        assert escalation.useful_for_s is not None
        deadline = Deadline.after(escalation.useful_for_s, self._clock)
        item = Waiting(escalation, reply, deadline, fare)
        if not self.accepting:
            self.meter.failed("offline")
            item.failed(StateLost("the cloud cannot be reached"), self._clock.monotonic())
            return
        await self._stream_of(escalation.camera).put(item, block=block)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        for stream in self._streams.values():
            stream.close()
        return await super().__aexit__(kind, error, trace)

    def _timed(self, escalation: Escalation) -> Escalation:
        """An update that says how long it has: the stream has no deadline of its own."""
        useful_for_s = min(self._settings.timeout_s, escalation.useful_for_s or float("inf"))
        return replace(escalation, useful_for_s=useful_for_s)

    def _stream_of(self, camera: str) -> CameraStream:
        stream = self._streams.get(camera)
        if stream is None:
            assert self._tasks is not None
            way = Way(
                self._settings,
                self._clock,
                self._stub,
                self.meter,
                self._guard,
                self._link,
                down=lambda: self._enter(UplinkState.DOWN),
                refused=self._refuse,
                settled=self._settled,
                drift=self._drift,
            )
            stream = self._streams[camera] = CameraStream(camera, way)
            self._tasks.start_soon(stream.run)
        return stream

    def _enter(self, state: UplinkState) -> None:
        if state is not UplinkState.READY:
            # Behind the next connection may be another cloud.
            self._refused = False
        super()._enter(state)

    def _refuse(self, reason: str) -> None:
        if not self._refused:
            self._refused = True
            _log.warning("the cloud takes no canvases: mosaics are sent", reason=reason)

    def _settled(self) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(self._tell_idle)

    async def _tell_idle(self) -> None:
        async with self._idle:
            self._idle.notify_all()
