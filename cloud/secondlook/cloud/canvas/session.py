"""The canvas of one stream: each request is an escalation and its picture, or state is lost."""

from __future__ import annotations

from collections.abc import Callable

from secondlook.cloud.canvas.canvases import Canvases, Seen
from secondlook.cloud.canvas.metrics import CanvasMetrics
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import InvalidInput, StateLost
from secondlook.shared.values import Escalation
from secondlook.shared.wire.canvas import Opening, update_from_proto


class CanvasSession:
    """Keeps what holds for a stream. `see` is called for one request after the other.

    Args:
        canvases: where it is decoded.
        check_camera: refuses cameras that the caller may not speak for.
        metrics: where to count.
    """

    def __init__(
        self, canvases: Canvases, check_camera: Callable[[str], None], metrics: CanvasMetrics
    ) -> None:
        self._canvases = canvases
        self._check_camera = check_camera
        self._metrics = metrics
        self._canvas = canvases.new_id()
        self._opening: Opening | None = None
        self._index = 0

    async def see(self, request: pb.SessionRequest) -> tuple[Escalation, Seen]:
        """What is asked, and the canvas after it.

        Raises:
            StateLost: it does not follow what came before: a key frame is needed.
            InvalidInput: it is malformed; a key frame is needed as well.
            PermissionDenied: the caller may not speak for that camera.
            Unavailable: there is nothing to decode it.
        """
        try:
            asked, seen = await self._see(request)
        except StateLost:
            self._metrics.lost()
            raise
        except InvalidInput:
            self._metrics.invalid()
            raise
        self._metrics.decoded()
        return asked, seen

    def noted(self, index: int) -> None:
        """A request of another carrier has passed."""
        self._index = index

    def close(self) -> None:
        """The stream has ended."""
        self._canvases.forget(self._canvas)

    async def _see(self, request: pb.SessionRequest) -> tuple[Escalation, Seen]:
        message, expected = request.canvas, self._index + 1
        self._index = request.index
        if request.index != expected and not message.key_frame:
            self._forget()
            raise StateLost(f"index is {request.index}; {expected} expected")
        if self._opening is None and not message.HasField("opening"):
            raise StateLost("nothing is known of this stream")
        try:
            asked, opening = update_from_proto(message, self._opening, f"#{request.index}")
            if opening is not self._opening:
                self._check_opening(opening)
                self._opening = opening
        except Exception:
            # Any error, a bug too, for the stream outlives it: what was not understood was not
            # decoded, so nothing can follow it.
            self._forget()
            raise
        assert asked.canvas is not None
        return asked, await self._canvases.decode(self._canvas, asked.canvas, asked.image)

    def _check_opening(self, opening: Opening) -> None:
        self._check_camera(opening.camera)
        if self._opening is not None and opening.camera != self._opening.camera:
            raise InvalidInput("camera is another than before; each camera has a stream of its own")

    def _forget(self) -> None:
        self._canvases.forget(self._canvas)
