"""What people write in an afternoon: grpc.aio, ONNX Runtime, and nothing else.

No batching, no deadlines, no metrics, no identities, no errors but gRPC's own. It is the baseline
of ``secondlook bench serve``::

    python -m secondlook.cli.bench.serve.bare '{"tiny": "tiny.onnx"}' heavy.onnx

Prints its port and serves until it is killed. The second file, if there is one, is the detector
behind ``detector.detect``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from secondlook.cloud.picture.decode import decode_image
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.detect import load_detector
from secondlook.shared.detect.runtime import ort
from secondlook.shared.values import ImageEncoding

DTYPES = {"FP32": np.float32, "UINT8": np.uint8}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
LENGTH_BYTES = 4


class Bare(pb_grpc.GRPCInferenceServiceServicer):
    """Runs each request at once, where it came."""

    def __init__(self, files: dict[str, str], detector: str | None) -> None:
        self._sessions = {
            name: ort.InferenceSession(file, providers=["CPUExecutionProvider"])
            for name, file in files.items()
        }
        self._detector = None if detector is None else load_detector(Path(detector))

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> Any:  # noqa: N802
        """Answer one request."""
        if request.model_name == "detector.detect":
            outputs = await asyncio.to_thread(self._detect, request.raw_input_contents[0])
        else:
            session = self._sessions[request.model_name]
            feeds = {
                tensor.name: np.frombuffer(raw, DTYPES[tensor.datatype]).reshape(tensor.shape)
                for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
            }
            names = [output.name for output in session.get_outputs()]
            outputs = dict(zip(names, session.run(names, feeds), strict=True))
        reply = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        for name, array in outputs.items():
            reply.outputs.add(name=name, datatype=NAMES[array.dtype], shape=array.shape)
            reply.raw_output_contents.append(array.tobytes())
        return reply

    def _detect(self, raw: bytes) -> dict[str, Any]:
        assert self._detector is not None
        image = decode_image(raw[LENGTH_BYTES:], ImageEncoding.JPEG, 64_000_000)
        found = self._detector.detect([image])[0]
        return {"boxes": found.boxes, "scores": found.scores}


async def _serve(files: dict[str, str], detector: str | None) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    bare = Bare(files, detector)  # type: ignore[abstract]  # the rest is unimplemented, as meant
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(bare, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
