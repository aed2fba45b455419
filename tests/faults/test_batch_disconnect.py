"""Callers whose connections are cut while their requests wait and run, over real sockets."""

from __future__ import annotations

import asyncio
import pickle
import random

import anyio
import grpc.aio
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.batching import ask
from support.rowwise import RowwiseBackend, question
from support.waiting import eventually

from secondlook.cloud.engine.batching import TENSORS, Batcher, Instance, Policy, TensorInput
from secondlook.cloud.engine.batching.pace import KEEP
from secondlook.cloud.engine.metrics import EngineMetrics

METHOD = "/test.Batch/Ask"
CALLERS = 12
QUESTIONS = 12


@pytest.mark.anyio
async def test_cut_connections_cost_nobody_else_an_answer() -> None:
    backend, alone = RowwiseBackend(16, "far"), RowwiseBackend(16)
    batcher = Batcher(
        "rowwise",
        "1",
        [Instance.of(backend)],
        Policy(max_batch=16, max_queue=1000, admission=False),
        metrics=EngineMetrics(CollectorRegistry()),
    )
    for size in (1, 2, 4, 8, 16):
        for _ in range(KEEP + 1):
            batcher.pace.record(size, 1e-6)
    batcher.start()

    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        tensors = TensorInput(pickle.loads(request))
        outputs, _ = await batcher.submit(TENSORS, tensors, ask(60.0))
        return pickle.dumps(outputs["y"])

    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.aio.server()
    server.add_registered_method_handlers("test.Batch", {"Ask": handler})
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Batch", {"Ask": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    rng, chance = np.random.default_rng(3), random.Random(3)
    right = cut = 0

    async def caller(leaves_after: int | None) -> None:
        """Asks all at once; its connection is cut after so many answers."""
        nonlocal right, cut
        # A pool of its own: a connection that nobody shares.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        questions = [question(rng, chance.randint(1, 3)) for _ in range(QUESTIONS)]
        ask_ = channel.unary_unary(METHOD)
        calls = [asyncio.ensure_future(_sent(ask_, tensors)) for tensors in questions]
        if leaves_after is not None:
            if leaves_after:
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            await channel.close()
        for call, tensors in zip(calls, questions, strict=True):
            try:
                heard = pickle.loads(await call)
            except (grpc.aio.AioRpcError, asyncio.CancelledError, grpc.aio.UsageError):
                assert leaves_after is not None, "it stayed, and got no answer"
                cut += 1
                continue
            assert heard.tobytes() == alone.run(tensors)["y"].tobytes()
            right += 1
        await channel.close()

    with anyio.fail_after(60):
        await asyncio.gather(*(caller(n % 3 if n % 3 < 2 else None) for n in range(CALLERS)))
        await eventually(lambda: batcher.waiting == batcher.in_flight == 0)
        stayed = sum(n % 3 == 2 for n in range(CALLERS)) * QUESTIONS
        assert right >= stayed
        assert cut, "no connection was cut in time"
        outputs, _ = await batcher.submit(TENSORS, TensorInput(question(rng, 2)), ask())
        assert len(outputs["y"]) == 2
        await server.stop(None)
        await batcher.drain()


async def _sent(ask_: grpc.aio.UnaryUnaryMultiCallable, tensors: object) -> bytes:
    answer: bytes = await ask_(pickle.dumps(tensors), timeout=60)
    return answer
