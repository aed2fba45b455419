"""The process that answers the remote saves: the memory service on Redis, and a bare echo.

Both are in one process and one event loop, so that they have the same machine under them. Prints
the two ports, and serves until it is killed.

    python -m secondlook.cli.bench.memory.server REDIS_URL
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import anyio
import grpc
import grpc.aio

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.values import Detections

ECHO = "/bench.Echo/Echo"


class _NoDetector:
    """The service wants a model; none is asked here."""

    def __init__(self) -> None:
        self.info = ModelInfo("none", "1", ("nothing",), 32, 32, "none", "none", 1)

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        return [Detections.empty(self.info.names) for _ in images]

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def close(self) -> None:
        """Nothing to release."""


async def _echo(request: bytes, context: object) -> bytes:
    return request


def _echo_server() -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    service, method = ECHO.strip("/").split("/")
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {method: handler})]
    )
    return server, server.add_insecure_port("127.0.0.1:0")


async def _serve(redis_url: str) -> None:
    settings = CloudSettings.model_validate(
        {
            "server": {"port": 0},
            "metrics": {"enabled": False},
            "memory": {"url": redis_url},
            "models": [{"name": "none", "path": "unused.onnx"}],
        }
    )
    server, echo_port = _echo_server()
    await server.start()
    async with running_cloud(settings, load=lambda _: [Loaded(_NoDetector())]) as cloud:
        print(f"ports {cloud.port} {echo_port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    # As the service itself is run.
    uvloop = find_spec("uvloop") is not None
    anyio.run(_serve, sys.argv[1], backend_options={"use_uvloop": uvloop})
