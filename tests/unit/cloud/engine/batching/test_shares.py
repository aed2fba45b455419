from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support.batching import pending

from secondlook.cloud.engine.batching.policy import Policy
from secondlook.cloud.engine.batching.queue import RequestQueue
from secondlook.cloud.engine.batching.shares import CREDIT, Flow, Shares

STEPS = 600


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.lists(st.floats(0.05, 1.5), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_who_always_waits_gets_its_share_whatever_the_others_do(
    seed: int, loads: list[float], rows: int
) -> None:
    """Others come and go, owed or not, with nearer deadlines: that never costs it its share."""
    rng = random.Random(seed)
    queue = RequestQueue(Policy(max_queue=100_000))
    for _ in range(STEPS):
        queue.put(pending(tenant="always", deadline_s=1e6))
    got = Counter[str]()
    for step in range(STEPS):
        for place, load in enumerate(loads):
            if rng.random() < load / len(loads) / rows:
                queue.put(pending(tenant=f"t{place}", rows=rows, deadline_s=1.0 + step))
        (request,), _ = queue.take(1, 0.0)
        got[request.tenant] += request.rows
    flows = len(loads) + 1
    share = sum(got.values()) / flows
    assert got["always"] >= share - flows * (CREDIT + rows)


def test_what_is_owed_is_bounded_and_paid_back_first() -> None:
    shares: Shares[Flow] = Shares(Flow)
    busy, idle = shares.flow("busy"), shares.flow("idle")
    shares.update(busy, 1.0)
    for _ in range(5):
        shares.update(busy, 1.0, served=1)
    shares.update(idle, 9.0)
    assert idle.owed == 5
    for left in (4, 3, 2, 1, 0):
        assert shares.next() is idle
        shares.update(idle, 9.0, served=1)
        assert idle.owed == left
    assert shares.next() is busy
    shares.update(idle, None)
    for _ in range(10 * CREDIT):
        shares.update(busy, 1.0, served=1)
    shares.update(idle, 9.0)
    assert idle.owed == CREDIT


def test_what_is_given_back_is_owed_again() -> None:
    shares: Shares[Flow] = Shares(Flow)
    busy, idle = shares.flow("busy"), shares.flow("idle")
    shares.update(busy, 1.0)
    shares.update(busy, 1.0, served=4)
    shares.update(idle, 9.0)
    shares.update(idle, 9.0, served=3)
    shares.update(idle, 9.0, served=-3)
    assert idle.owed == 4
    assert shares.next() is idle


def test_as_many_share_as_usually_do() -> None:
    shares: Shares[Flow] = Shares(Flow)
    flows = [shares.flow(name) for name in "abc"]
    for flow in flows:
        flow.rows = 1
        shares.update(flow, 1.0)
    assert shares.served_meanwhile(flows[0], 10) == 10 + 1 + 1
    for _ in range(200):
        for flow in flows:
            shares.update(flow, 1.0, served=1)
    assert shares.served_meanwhile(flows[0], 10) in (29, 30)
