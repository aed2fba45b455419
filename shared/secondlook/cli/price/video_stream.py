"""Every frame to the cloud in a video stream, over a real bidirectional gRPC stream.

The messages are those of `Escalate`, with an access unit for a picture, so that all baselines
carry the same fields and differ in the codec and in the kind of call alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import grpc

from secondlook.cli.price.asking import TIMEOUT_S
from secondlook.cli.price.heavy import Heavy
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.scaled import Scaling
from secondlook.cli.price.system import Shot
from secondlook.cli.price.video import H264, H265, Codec, VideoDecoder, VideoEncoder
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import DeadlineExceeded, SecondlookError, Unavailable
from secondlook.shared.measure import CountingProxy
from secondlook.shared.telemetry import get_logger
from secondlook.shared.wire.escalation import detections_from_proto, detections_to_proto
from secondlook.shared.wire.status import error_from_status, status_of

_SERVICE = "secondlook.price.Video"

_log = get_logger(__name__)


class CloudVideo:
    """Encodes the frames as a live camera would, and says what the cloud sees in the stream.

    Args:
        name: of the system.
        proxy: the way to `stream_server`, counted.
        channel: a channel through that proxy.
        codec: H.264 or H.265.
        width_px: frames that are wider are sent at this width; ``None``: as they are.
        fps: analysed frames a second.
        crf: constant rate factor, 0 to 51.
        min_score: boxes below are not wanted.
    """

    def __init__(
        self,
        name: str,
        proxy: CountingProxy,
        channel: grpc.aio.Channel,
        *,
        codec: Codec,
        width_px: int | None,
        fps: float,
        crf: int,
        min_score: float,
    ) -> None:
        self.ledger = Ledger(name)
        self._proxy = proxy
        self._call: Any = channel.stream_stream(
            f"/{_SERVICE}/{codec.decoder}",
            request_serializer=pb.EscalateRequest.SerializeToString,
            response_deserializer=pb.EscalateResponse.FromString,
        )
        self._stream: Any = None
        self._codec = codec
        self._width_px = width_px
        self._fps = fps
        self._crf = crf
        self._min_score = min_score
        self._encoder: VideoEncoder | None = None
        self._scaling = Scaling.of(1, 1, None)
        self._size = (0, 0)

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        started = time.perf_counter()
        ref = shot.frame.ref
        if self._encoder is None or self._size != (ref.width, ref.height):
            # A stream has one size; one that changes begins again with a key frame.
            await self._end()
            self._size = (ref.width, ref.height)
            self._scaling = Scaling.of(ref.width, ref.height, self._width_px)
            sent = self._scaling.frame
            self._encoder = VideoEncoder(self._codec, sent.width, sent.height, self._fps, self._crf)
            self._stream = self._call()
        encoder, scaling = self._encoder, self._scaling
        request = pb.EscalateRequest(
            request_id=f"video-{shot.index}",
            camera="cloud-video",
            frame_sequence=ref.sequence,
            frame_size=pb.FrameSize(width=scaling.frame.width, height=scaling.frame.height),
            image=await anyio.to_thread.run_sync(
                lambda: encoder.encode(scaling.down(shot.frame.image))
            ),
            min_score=self._min_score,
            captured_at_ms=round(ref.captured_at * 1000),
        )
        message = await self._exchange(request)
        self.ledger.escalations += 1
        self.ledger.inferences += 1
        self.ledger.answers.append(
            FrameAnswer.once(
                scaling.back(detections_from_proto(message.detections)),
                time.perf_counter() - started,
            )
        )
        self.ledger.passed(self._proxy.traffic)

    async def finish(self) -> None:
        """See `System.finish`."""
        await self._end()
        self.ledger.settle(self._proxy.traffic)

    async def _exchange(self, request: pb.EscalateRequest) -> pb.EscalateResponse:
        """A frame, and what the cloud sees in it.

        Raises:
            SecondlookError: the other end failed, or said nothing.
        """
        try:
            with anyio.fail_after(TIMEOUT_S):
                await self._stream.write(request)
                message = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            raise error_from_status(error.code(), error.details() or "") from error
        except TimeoutError:
            raise DeadlineExceeded(
                f"no answer to an {self._codec.name} frame in {TIMEOUT_S:g} s"
            ) from None
        if message is grpc.aio.EOF:
            code, details = await self._stream.code(), await self._stream.details()
            raise error_from_status(code, details) if code else Unavailable("the stream ended")
        answer: pb.EscalateResponse = message
        return answer

    async def _end(self) -> None:
        if self._stream is not None:
            await self._stream.done_writing()
            if await self._stream.read() is not grpc.aio.EOF:
                raise Unavailable("the stream said more than it was asked")
            self._stream = None


@asynccontextmanager
async def stream_server(heavy: Heavy) -> AsyncIterator[int]:
    """The other end: decodes each stream, runs the heavy model on what it really got.

    Yields:
        Its loopback port.
    """
    server = grpc.aio.server()
    handlers = {
        codec.decoder: grpc.stream_stream_rpc_method_handler(
            _serving(heavy, codec),
            request_deserializer=pb.EscalateRequest.FromString,
            response_serializer=pb.EscalateResponse.SerializeToString,
        )
        for codec in (H264, H265)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(0)


def _serving(
    heavy: Heavy, codec: Codec
) -> Callable[[AsyncIterator[pb.EscalateRequest], Any], AsyncIterator[pb.EscalateResponse]]:
    """The method that takes streams of ``codec``."""

    async def stream(
        requests: AsyncIterator[pb.EscalateRequest], context: Any
    ) -> AsyncIterator[pb.EscalateResponse]:
        decoder = VideoDecoder(codec)
        try:
            async for request in requests:
                size = request.frame_size
                image = await anyio.to_thread.run_sync(
                    decoder.decode, request.image, size.width, size.height
                )
                found = await heavy.see(image, request.min_score)
                yield pb.EscalateResponse(
                    request_id=request.request_id,
                    detections=detections_to_proto(found),
                    model=heavy.info.name,
                    model_version=heavy.info.version,
                )
        except SecondlookError as error:
            status = status_of(error)
            _log.warning("a video stream failed", codec=codec.name, error=str(error))
            await context.abort(status.code, status.text)

    return stream
