"""A server of the Open Inference Protocol in this process, over any backend, for clients of ours.

It answers as Triton does. ``refuse`` makes every inference end with a status, ``hold`` makes it
wait until the caller has gone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc

from secondlook.cloud.engine.asking import Inferred, Ran
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.rpc.inference import telling
from secondlook.cloud.rpc.inference.reading import Reader
from secondlook.cloud.rpc.inference.writing import Writer
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc as pb_grpc
from secondlook.shared.wire.status import status_of


class OipServer(pb_grpc.GRPCInferenceServiceServicer):
    """One model, called ``name``, of version 3."""

    def __init__(self, name: str, backend: Backend, *, tells_config: bool = True) -> None:
        self.name = name
        self.backend = backend
        self.tells_config = tells_config
        self.refuse: grpc.StatusCode | None = None
        self.spoil: Any = None
        self.ready = True
        self.parameters: dict[str, str] = {}
        self.held = threading.Event()
        self.hold = False
        self.calls: list[pb.ModelInferRequest] = []
        self.address = ""
        self.called = ""
        """What it says it is; empty: it does not tell."""
        self.state = ""
        """Of the model in the index; empty: there is no index."""
        self.unloads: list[pb.RepositoryModelUnloadRequest] = []

    def ServerMetadata(self, request: Any, context: Any) -> pb.ServerMetadataResponse:
        if not self.called:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        return pb.ServerMetadataResponse(name=self.called)

    def RepositoryIndex(self, request: Any, context: Any) -> pb.RepositoryIndexResponse:
        if not self.state:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        index = pb.RepositoryIndexResponse()
        index.models.add(name=self.name, version="3", state=self.state)
        return index

    def RepositoryModelUnload(self, request: Any, context: Any) -> pb.RepositoryModelUnloadResponse:
        self.unloads.append(request)
        self.ready = False
        return pb.RepositoryModelUnloadResponse()

    def ModelReady(self, request: Any, context: Any) -> pb.ModelReadyResponse:
        self._known(request.name, context)
        return pb.ModelReadyResponse(ready=self.ready)

    def ModelMetadata(self, request: Any, context: Any) -> pb.ModelMetadataResponse:
        self._known(request.name, context)
        return telling.metadata(self.name, ["3"], "test", self.backend.signature)

    def ModelConfig(self, request: Any, context: Any) -> pb.ModelConfigResponse:
        if not self.tells_config:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        reply = pb.ModelConfigResponse()
        reply.config.max_batch_size = self.backend.signature.max_batch
        for key, value in self.parameters.items():
            reply.config.parameters[key].string_value = value
        return reply

    def ModelInfer(self, request: Any, context: Any) -> pb.ModelInferResponse:
        self._known(request.model_name, context)
        self.calls.append(request)
        if self.refuse is not None:
            context.abort(self.refuse, "said no")
        if self.hold:
            gone = threading.Event()
            context.add_callback(gone.set)
            self.held.set()
            gone.wait(30)
        reader, writer = Reader(self.backend.signature), Writer(self.backend.signature)
        wanted = reader.outputs(request)
        try:
            outputs = self.backend.run(reader.tensors(request), wanted)
        except Exception as error:  # noqa: BLE001 - as a service answers it
            status = status_of(error)
            context.abort(status.code, status.text)
        reply = writer.reply(request, Inferred(outputs, Ran(self.name, "3")), wanted)
        if self.spoil is not None:
            self.spoil(reply)
        return reply

    def _known(self, name: str, context: Any) -> None:
        if name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model is named {name!r}")


@contextmanager
def oip_server(name: str, backend: Backend, *, tells_config: bool = True) -> Iterator[OipServer]:
    """Run it on a free port of the loopback."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = OipServer(name, backend, tells_config=tells_config)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield servicer
    finally:
        server.stop(0).wait()
