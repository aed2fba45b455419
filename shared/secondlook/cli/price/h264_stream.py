"""Every frame to the cloud in an H.264 stream, over a real bidirectional gRPC stream.

The messages are those of `Escalate`, with an access unit for a picture, so that both baselines
carry the same fields and differ in the codec and in the kind of call alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import grpc

from secondlook.cli.price.asking import TIMEOUT_S
from secondlook.cli.price.h264 import H264Decoder, H264Encoder
from secondlook.cli.price.heavy import Heavy
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.system import Shot
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.errors import DeadlineExceeded, SecondlookError, Unavailable
from secondlook.shared.measure import CountingProxy
from secondlook.shared.telemetry import get_logger
from secondlook.shared.wire.escalation import detections_from_proto, detections_to_proto
from secondlook.shared.wire.status import error_from_status, status_of

_SERVICE, _METHOD = "secondlook.price.H264", "Stream"

_log = get_logger(__name__)


class CloudH264:
    """Encodes the frames as a live camera would, and says what the cloud sees in the stream.

    Args:
        proxy: the way to `stream_server`, counted.
        channel: a channel through that proxy.
        fps: analysed frames a second.
        crf: constant rate factor of x264, 0 to 51.
        min_score: boxes below are not wanted.
    """

    def __init__(
        self,
        proxy: CountingProxy,
        channel: grpc.aio.Channel,
        *,
        fps: float,
        crf: int,
        min_score: float,
    ) -> None:
        self.ledger = Ledger("cloud_h264")
        self._proxy = proxy
        self._call: Any = channel.stream_stream(
            f"/{_SERVICE}/{_METHOD}",
            request_serializer=pb.EscalateRequest.SerializeToString,
            response_deserializer=pb.EscalateResponse.FromString,
        )
        self._stream: Any = None
        self._fps = fps
        self._crf = crf
        self._min_score = min_score
        self._encoder: H264Encoder | None = None
        self._size = (0, 0)

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        started = time.perf_counter()
        ref = shot.frame.ref
        if self._encoder is None or self._size != (ref.width, ref.height):
            # A stream has one size; one that changes begins again with a key frame.
            await self._end()
            self._size = (ref.width, ref.height)
            self._encoder = H264Encoder(ref.width, ref.height, self._fps, self._crf)
            self._stream = self._call()
        request = pb.EscalateRequest(
            request_id=f"h264-{shot.index}",
            camera="cloud-h264",
            frame_sequence=ref.sequence,
            frame_size=pb.FrameSize(width=ref.width, height=ref.height),
            image=await anyio.to_thread.run_sync(self._encoder.encode, shot.frame.image),
            min_score=self._min_score,
            captured_at_ms=round(ref.captured_at * 1000),
        )
        try:
            with anyio.fail_after(TIMEOUT_S):
                await self._stream.write(request)
                message = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            raise error_from_status(error.code(), error.details() or "") from error
        except TimeoutError:
            raise DeadlineExceeded(f"no answer to an H.264 frame in {TIMEOUT_S:g} s") from None
        if message is grpc.aio.EOF:
            code, details = await self._stream.code(), await self._stream.details()
            raise error_from_status(code, details) if code else Unavailable("the stream ended")
        self.ledger.escalations += 1
        self.ledger.inferences += 1
        self.ledger.answers.append(
            FrameAnswer.once(
                detections_from_proto(message.detections), time.perf_counter() - started
            )
        )

    async def finish(self) -> None:
        """See `System.finish`."""
        await self._end()
        self.ledger.traffic = self._proxy.traffic

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

    async def stream(
        requests: AsyncIterator[pb.EscalateRequest], context: Any
    ) -> AsyncIterator[pb.EscalateResponse]:
        decoder = H264Decoder()
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
            _log.warning("an H.264 stream failed", error=str(error))
            await context.abort(status.code, status.text)

    handler = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=pb.EscalateRequest.FromString,
        response_serializer=pb.EscalateResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(0)
