"""A camera: is its host there, does the stream open, does a frame come, does it show anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import anyio
import anyio.abc
import numpy as np
import numpy.typing as npt

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.result import CheckResult, fail, failed, ok, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.doctor.transport import check_name, check_tcp
from secondlook.edge.capture.address import SourceAddress, SourceKind
from secondlook.edge.capture.events import Arrived, CaptureProcessDied, Ended, Opened
from secondlook.edge.capture.messages import Order
from secondlook.edge.capture.process import CaptureProcess, start_capture
from secondlook.edge.capture.protocol import SourceOptions
from secondlook.edge.capture.settings import CaptureSettings
from secondlook.shared.errors import InvalidInput, SecondlookError

SOURCE_FACTORY = "secondlook.edge.capture.sources:source_for"

_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
_START_S = 30.0
_GRACE_S = 3.0
_FLAT_LEVELS = 2.0
_REMEDIES = {
    SourceKind.NETWORK: "try the URL in a player (ffplay, VLC); check path, user and password",
    SourceKind.V4L2: "see `v4l2-ctl --list-devices`; is this user in the group `video`?",
    SourceKind.GSTREAMER: "try the pipeline with gst-launch-1.0",
    SourceKind.FILE: "check that the file is whole and plays elsewhere",
    SourceKind.IMAGES: "check the folder and its images",
    SourceKind.SIM: "check the parameters of the URL",
}


@dataclass(slots=True)
class CameraVisit:
    """One look at one camera, through the capture process that the agent itself would use.

    Args:
        camera: its id.
        url: its URL; the password never shows.
        settings: how it is captured.
        timeout_s: longest wait at the hops of the network; opening has its own limit in
            ``settings``.
    """

    camera: str
    url: str
    settings: CaptureSettings
    timeout_s: float
    _address: SourceAddress = field(init=False)
    _process: CaptureProcess | None = field(default=None, init=False)
    _tasks: anyio.abc.TaskGroup = field(init=False)
    _stderr_is_read: anyio.Event = field(init=False)

    async def walk(self, report: Report) -> bool:
        """Check in order; returns whether none failed."""
        title = f"camera {self.camera}"
        try:
            self._address = await in_thread(SourceAddress.parse, self.url)
        except InvalidInput as error:
            report(failed(f"{title}: URL", error))
            return False
        checks = self._network_checks(title)
        if not await run_chain(checks, self.timeout_s + 1.0, report):
            return False
        checks = [
            Check(f"{title}: opens", self._opens, "it does not open", self._remedy),
            Check(f"{title}: frame", self._frame, "no frame came", self._remedy),
        ]
        self._stderr_is_read = anyio.Event()
        limit_s = _START_S + self.settings.open_timeout_s + _GRACE_S
        passed = False
        async with anyio.create_task_group() as self._tasks:
            try:
                passed = await run_chain(checks, limit_s, report)
            finally:
                if self._process is not None:
                    await self._process.end()
        return passed

    def _network_checks(self, title: str) -> list[Check]:
        """The hops to a camera on the network; none for the others."""
        if self._address.kind is not SourceKind.NETWORK:
            return []
        parts = urlsplit(self.url)
        port = parts.port or _PORTS.get(parts.scheme.lower(), 554)
        host = Address(parts.hostname or "", port)
        limit = self.timeout_s

        async def tcp(name: str) -> CheckResult:
            result = await check_tcp(name, host, limit)
            # What is right for the cloud service is of no help here.
            remedy = result.remedy.replace("start `secondlook cloud serve` there", "switch it on")
            return replace(result, remedy=remedy)

        return [
            Check(f"{title}: name", lambda name: check_name(name, host)),
            Check(f"{title}: TCP", tcp),
        ]

    @property
    def _remedy(self) -> str:
        return _REMEDIES[self._address.kind]

    async def _opens(self, name: str) -> CheckResult:
        settings = self.settings
        self._process = await start_capture(
            Order(
                url=self.url,
                factory=SOURCE_FACTORY,
                options=SourceOptions(
                    fps=settings.fps,
                    open_timeout_s=settings.open_timeout_s,
                    read_timeout_s=settings.stall_timeout_s,
                    decode_threads=settings.decode_threads,
                    rtsp_transport=settings.rtsp_transport.value,
                ),
                slots=settings.slots,
            )
        )
        self._tasks.start_soon(self._listen_to_stderr, self._process)
        event = await self._receive(Opened)
        if not isinstance(event, Opened):
            return fail(name, f"{self._address.shown}: the stream is empty", self._remedy)
        info = event.info
        told = [info.backend, f"{info.width}x{info.height}" if info.width else "size unknown"]
        told.append(f"{info.fps:g} frames/s" if info.fps else "rate unknown")
        if info.frames is not None:
            told.append(f"{info.frames} frames")
        return ok(name, f"{self._address.shown}: {', '.join(told)}")

    async def _frame(self, name: str) -> CheckResult:
        assert self._process is not None
        self._process.grant()
        event = await self._receive(Arrived)
        if not isinstance(event, Arrived):
            return fail(name, "the stream ended before its first frame", self._remedy)
        header, image = event.header, event.image
        detail = f"{header.width}x{header.height}, decoded in {header.decode_s * 1e3:.0f} ms"
        if _is_flat(image):
            return warn(
                name,
                f"{detail}; the picture is one flat colour",
                "is the lens covered, or is it dark?",
            )
        return ok(name, detail)

    async def _receive(self, wanted: type[Opened | Arrived]) -> Opened | Arrived | Ended:
        """The next event of that kind, or the end of the stream; passes over all others.

        Raises:
            SecondlookError: what the capture process reported, or that it died.
        """
        assert self._process is not None
        while True:
            try:
                event = await self._process.receive()
            except CaptureProcessDied:
                raise await self._death(self._process) from None
            if isinstance(event, (wanted, Ended)):
                return event

    async def _listen_to_stderr(self, process: CaptureProcess) -> None:
        try:
            await process.drain_stderr()
        finally:
            self._stderr_is_read.set()
            await process.close()

    async def _death(self, process: CaptureProcess) -> SecondlookError:
        with anyio.move_on_after(_GRACE_S):
            await self._stderr_is_read.wait()
        said = f": {process.stderr[-1]}" if process.stderr else ""
        return CaptureProcessDied(
            f"{self._address.shown}: the decoder process died{said}",
            remedy="the stream makes the decoder crash; re-encode it, or update PyAV and OpenCV",
        )


def _is_flat(image: npt.NDArray[np.uint8]) -> bool:
    """Whether the picture (uint8 (h, w, 3)) shows nothing; looks at every 16th pixel a side."""
    return bool(image[::16, ::16].std(axis=(0, 1)).max() < _FLAT_LEVELS)
