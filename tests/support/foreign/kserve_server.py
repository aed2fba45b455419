"""KServe's ModelServer; run in an environment of its own, where nothing of ours is.

Its own start listens on every address of the machine, with a server of HTTP beside. So its parts
are put together here as it does that itself, on the loopback alone.

Arguments: the port.
"""

import asyncio
import sys

import numpy as np
from grpc import aio
from kserve import InferOutput, InferResponse, Model
from kserve.errors import InvalidInput
from kserve.model_repository import ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor, LoggingInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

KINDS = {"f": "FP32", "d": "FP64", "h": "FP16", "i": "INT64", "u": "UINT8", "b": "BOOL"}


class Numbers(Model):
    """``y = x + 1000``. Refuses a 13, and fails at a -13."""

    def load(self):
        self.ready = True
        return True

    async def get_input_types(self):
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]

    async def get_output_types(self):
        return [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]

    async def predict(self, payload, headers=None, response_headers=None):
        x = payload.inputs[0].as_numpy()
        if (x == 13).any():
            raise InvalidInput("an unlucky number")
        if (x == -13).any():
            raise RuntimeError("a hidden fault")
        y = (x + np.float32(1000)).astype(np.float32)
        output = InferOutput("y", list(y.shape), "FP32")
        output.set_data_from_numpy(y)
        return InferResponse(payload.id, self.name, [output])


class Same(Model):
    """Every input comes back, as it came, under its name in capitals."""

    def load(self):
        self.ready = True
        return True

    async def get_input_types(self):
        return [{"name": name, "datatype": kind, "shape": [-1, 3]} for name, kind in KINDS.items()]

    async def get_output_types(self):
        return [
            {"name": name.upper(), "datatype": kind, "shape": [-1, 3]}
            for name, kind in KINDS.items()
        ]

    async def predict(self, payload, headers=None, response_headers=None):
        outputs = []
        for given in payload.inputs:
            output = InferOutput(given.name.upper(), given.shape, given.datatype)
            output.set_data_from_numpy(given.as_numpy())
            outputs.append(output)
        return InferResponse(payload.id, self.name, outputs)


async def serve(port):
    """Until it is killed."""
    repository = ModelRepository()
    for model in (Numbers("numbers"), Same("same")):
        model.load()
        repository.update(model)
    server = aio.server(interceptors=(LoggingInterceptor(), ExceptionToStatusInterceptor()))
    servicer = InferenceServicer(
        DataPlane(model_registry=repository), ModelRepositoryExtension(model_registry=repository)
    )
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(serve(int(sys.argv[1])))
