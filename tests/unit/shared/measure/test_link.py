"""Emulated links on real sockets: every byte arrives, in order, when the link lets it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.abc
import numpy as np
import pytest

from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import LINKS, Link, LinkProxy, link_named
from secondlook.shared.measure.link_proxy import _Way

pytestmark = pytest.mark.anyio

FAST = Link("fast", 400_000, 400_000, 0.002)


@asynccontextmanager
async def sink_server() -> AsyncIterator[int]:
    """Takes all there is, then answers with a digest of it and a long tail; gives its port."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            digest = hashlib.sha256()
            async for data in stream:
                digest.update(data)
            await stream.send(digest.digest() + b"x" * 50_000)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def through(link: Link, data: bytes, *, seed: int = 0) -> tuple[bytes, LinkProxy]:
    """What the server answers when ``data`` went over ``link``."""
    async with sink_server() as port:
        proxy = LinkProxy("127.0.0.1", port, link, seed=seed)
        async with (
            proxy.running(),
            await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
        ):
            await stream.send(data)
            await stream.send_eof()
            answer = b"".join([piece async for piece in stream])
        return answer, proxy


@pytest.mark.parametrize(
    "link",
    [
        FAST,
        replace(FAST, jitter_s=0.004),
        replace(FAST, loss=0.05),
        *(replace(link, up_kbit_s=400_000, down_kbit_s=400_000) for link in LINKS.values()),
    ],
    ids=["plain", "jitter", "loss", *LINKS],
)
async def test_every_byte_arrives_once_and_in_order(link: Link) -> None:
    blob = np.random.default_rng(1).bytes(300_000)
    answer, proxy = await through(link, blob)
    assert answer == hashlib.sha256(blob).digest() + b"x" * 50_000
    assert proxy.traffic.up == len(blob) == sum(item.size for item in proxy.sent_up)
    assert proxy.traffic.down == len(answer) == sum(item.size for item in proxy.sent_down)
    times = [item.at_s for item in proxy.sent_up]
    assert times == sorted(times)


async def test_what_comes_while_the_link_is_down_arrives_once_it_is_back() -> None:
    blob = bytes(range(256)) * 40
    answer, proxy = await through(FAST.with_outage(0.0, 0.15), blob)
    assert answer.startswith(hashlib.sha256(blob).digest())
    assert proxy.traffic.up == len(blob)


async def test_a_running_link_can_be_cut() -> None:
    clock = ManualClock()
    proxy = LinkProxy("127.0.0.1", 1, FAST, clock=clock)
    async with proxy.running():
        clock.advance(5.0)
        proxy.cut_for(60.0, 10.0)
        assert [proxy.link.is_down(at) for at in (14.9, 15.0, 74.9, 75.0)] == [
            False,
            True,
            True,
            False,
        ]


async def test_a_server_that_dies_closes_the_client() -> None:
    async with sink_server() as port:
        pass
    proxy = LinkProxy("127.0.0.1", port, FAST)
    async with proxy.running(), await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()


async def test_a_cut_breaks_what_is_on_its_way() -> None:
    slow = replace(FAST, up_kbit_s=8.0)
    async with sink_server() as port:
        proxy = LinkProxy("127.0.0.1", port, slow)
        async with proxy.running(), await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            await stream.send(b"x" * 10_000)
            while not proxy.sent_up:  # noqa: ASYNC110 - nothing announces it
                await anyio.sleep(0.002)
            await proxy.cut()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()


def way(link: Link, seed: int = 0) -> _Way:
    return _Way(link.up_kbit_s * 125, np.random.default_rng(seed))


def test_bytes_take_the_time_that_rate_and_distance_say() -> None:
    link = Link("test", 80.0, 80.0, 0.2)
    up = way(link)
    # 10 000 bytes a second and 0.1 s each way; the second piece queues behind the first.
    assert up.leaves(link, 1.0, 1000) == pytest.approx(1.2)
    assert up.leaves(link, 1.0, 500) == pytest.approx(1.25)
    assert up.leaves(link, 9.0, 1000) == pytest.approx(9.2)


def test_a_lost_segment_holds_up_what_follows() -> None:
    link = Link("test", 80_000.0, 80_000.0, 0.2, loss=0.5)
    up = way(link, seed=3)
    times = [up.leaves(link, 0.0, 1448 * 20) for _ in range(20)]
    assert times == sorted(times)
    # Half of 400 segments cost a round trip more.
    assert times[-1] == pytest.approx(200 * 0.2, rel=0.15)


def test_nothing_leaves_while_the_link_is_down() -> None:
    link = Link("test", 8000.0, 8000.0, 0.0).with_outage(10.0, 60.0)
    up = way(link)
    assert up.leaves(link, 9.0, 1000) == pytest.approx(9.001)
    assert up.leaves(link, 10.0, 1000) == pytest.approx(70.001)
    assert up.leaves(link, 30.0, 1000) == pytest.approx(70.002)
    assert [link.is_down(at) for at in (9.9, 10.0, 69.9, 70.0)] == [False, True, True, False]


def test_equal_seeds_make_equal_links() -> None:
    link = LINKS["lossy"]
    times = [[way(link, seed).leaves(link, 0.0, 40_000)] for seed in (1, 1, 2)]
    assert times[0] == times[1] != times[2]


def test_an_outage_lies_in_the_middle_and_is_told() -> None:
    long, short = link_named("outage", 300.0), link_named("outage", 30.0)
    assert (long.down_from_s, long.down_for_s) == (120.0, 60.0)
    assert (short.down_from_s, short.down_for_s) == (10.0, 10.0)
    assert "cut for 60 s" in long.source
    assert long.up_kbit_s == LINKS["4g"].up_kbit_s


def test_every_preset_says_where_its_figures_come_from() -> None:
    assert set(LINKS) == {"5g", "4g", "lossy"}
    assert all(len(link.source) > 40 and "assumed" in link.source for link in LINKS.values())


def test_an_unknown_link_is_named_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match="'6g'; expected 5g, 4g, lossy, outage"):
        link_named("6g", 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"up_kbit_s": 0.0},
        {"down_kbit_s": float("nan")},
        {"rtt_s": -0.1},
        {"jitter_s": float("inf")},
        {"loss": 1.0},
        {"loss": -0.1},
        {"down_for_s": -1.0},
    ],
)
def test_figures_that_no_link_has_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong)).removeprefix("down_for")):
        replace(FAST, **wrong)


async def test_time_is_of_the_clock_that_is_given() -> None:
    clock = ManualClock()
    proxy = LinkProxy("127.0.0.1", 1, FAST, clock=clock)
    async with proxy.running():
        clock.advance(5.0)
        assert proxy.time_s == pytest.approx(5.0)
