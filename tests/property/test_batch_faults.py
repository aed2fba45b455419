"""Cancel, poison, expire and leave, mixed at random under load, on a real network.

Whatever happens to its neighbours, a request that nothing happened to is answered, and bit-equal
to a run of its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from support.batching import ask
from support.rowwise import RowwiseBackend, question

from secondlook.cloud.engine.asking import Priority
from secondlook.cloud.engine.batching import TENSORS, Batcher, Instance, Policy, TensorInput
from secondlook.cloud.engine.batching.pace import KEEP
from secondlook.cloud.engine.metrics import EngineMetrics
from secondlook.shared.errors import DeadlineExceeded, ModelFailure

MAX_BATCH = 16


@dataclass(frozen=True)
class Fate:
    """What happens to one request.

    Attributes:
        rows: how many it has.
        tenant: who asks.
        priority: how urgent.
        poison: whether the network fails on it.
        expires_ms: its deadline; ``None``: far away.
        leaves_after: its caller goes after so many turns of the loop; ``None``: stays.
        comes_after: it comes after so many turns of the loop.
    """

    rows: int
    tenant: int
    priority: Priority
    poison: bool
    expires_ms: float | None
    leaves_after: int | None
    comes_after: int


FATES = st.builds(
    Fate,
    rows=st.integers(1, 5),
    tenant=st.integers(0, 2),
    priority=st.sampled_from(Priority),
    poison=st.sampled_from([False] * 5 + [True]),
    expires_ms=st.one_of(st.none(), st.none(), st.none(), st.floats(0, 5)),
    leaves_after=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 12)),
    comes_after=st.integers(0, 6),
)


@cache
def alone() -> RowwiseBackend:
    """The network that runs one request at a time."""
    return RowwiseBackend(MAX_BATCH)


def test_the_network_gives_the_same_bits_in_any_batch() -> None:
    rng = np.random.default_rng(1)
    for rows in range(2, MAX_BATCH + 1):
        together = question(rng, rows)
        answer = alone().run(together)["y"]
        for row in range(rows):
            lone = {name: array[row : row + 1] for name, array in together.items()}
            assert alone().run(lone)["y"].tobytes() == answer[row : row + 1].tobytes()


async def play(fates: list[Fate], instances: int, seed: int, quick: bool) -> list[int]:
    """Let it all happen; returns the sizes of the batches."""
    rng = np.random.default_rng(seed)
    backends = [RowwiseBackend(MAX_BATCH, "CPU" if quick else "far") for _ in range(instances)]
    batcher = Batcher(
        "rowwise",
        "1",
        [Instance.of(backend) for backend in backends],
        Policy(max_batch=MAX_BATCH, max_queue=1000, admission=False, patience_s=0.001),
        metrics=EngineMetrics(CollectorRegistry()),
    )
    for size in (1, 2, 4, 8, 16):
        for _ in range(KEEP + 1):
            # Large batches seem to pay, so that neighbours there are.
            batcher.pace.record(size, 1e-6)
    batcher.start()
    answered = 0

    async def turns(count: int) -> None:
        for _ in range(count):
            await anyio.lowlevel.checkpoint()

    async def one(fate: Fate) -> None:
        nonlocal answered
        await turns(fate.comes_after)
        tensors = question(rng, fate.rows, poison=fate.poison)
        asked = ask(
            3600.0 if fate.expires_ms is None else fate.expires_ms / 1000,
            tenant=f"t{fate.tenant}",
            priority=fate.priority,
        )
        try:
            outputs, ran = await batcher.submit(TENSORS, TensorInput(tensors), asked)
        except ModelFailure:
            assert fate.poison, "a neighbour's poison reached it"
        except DeadlineExceeded:
            assert fate.expires_ms is not None
        except asyncio.CancelledError:
            assert fate.leaves_after is not None
            raise
        else:
            assert not fate.poison
            assert ran.batch <= MAX_BATCH
            assert outputs["y"].tobytes() == alone().run(tensors)["y"].tobytes()
            answered += 1

    async def leave(task: asyncio.Task[None], after: int) -> None:
        await turns(after)
        task.cancel()

    with anyio.fail_after(60):
        tasks = [asyncio.ensure_future(one(fate)) for fate in fates]
        leaving = [
            asyncio.ensure_future(leave(task, fate.leaves_after + fate.comes_after))
            for task, fate in zip(tasks, fates, strict=True)
            if fate.leaves_after is not None
        ]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*leaving)
        for end in ends:
            if end is not None and not isinstance(end, asyncio.CancelledError):
                raise end
        await one(Fate(2, 0, Priority.ESCALATION, False, None, None, 0))
        await batcher.drain()
    certain = sum(
        not fate.poison and fate.expires_ms is None and fate.leaves_after is None for fate in fates
    )
    assert answered >= certain + 1
    # A caller may leave in the very turn in which its answer comes.
    assert batcher.statistics.success.count >= answered
    assert batcher.waiting == batcher.in_flight == 0
    assert all(backend.closed for backend in backends)
    return [size for backend in backends for size in backend.sizes]


@settings(max_examples=80)
@given(
    st.lists(FATES, min_size=1, max_size=60),
    st.integers(1, 2),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_every_surviving_request_is_answered_right(
    fates: list[Fate], instances: int, seed: int, quick: bool
) -> None:
    asyncio.run(play(fates, instances, seed, quick))


def test_the_requests_of_this_test_do_share_batches() -> None:
    fates = [Fate(1, 0, Priority.ESCALATION, False, None, None, 0)] * 60
    sizes = asyncio.run(play(fates, 1, 1, False))
    assert max(sizes) == MAX_BATCH


@pytest.mark.parametrize("poisoned", [1, 7, 60])
def test_a_flood_of_poison_ends(poisoned: int) -> None:
    fates = [Fate(1, 0, Priority.ESCALATION, n < poisoned, None, None, 0) for n in range(60)]
    asyncio.run(play(fates, 1, 2, False))
