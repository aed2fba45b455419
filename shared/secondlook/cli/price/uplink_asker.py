"""Secondlook's way to the cloud: the edge's own uplink, with its deadlines and retries."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from prometheus_client import CollectorRegistry

from secondlook.cli.price.asking import TIMEOUT_S, Asker
from secondlook.edge.uplink import BreakerSettings, Uplink, UplinkSettings, UplinkState
from secondlook.edge.uplink.session import SessionUplink
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import SecondlookError, Unavailable
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values import Escalation, Verdict


class UplinkAsker:
    """Asks through the edge's own uplink, canvases as well as mosaics."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink

    def wire_bytes(self, escalation: Escalation) -> int:
        """What a question takes on the wire."""
        return self._uplink.wire_bytes(escalation)

    async def ask(self, escalation: Escalation) -> Verdict:
        """See `Asker.ask`."""
        reply = _Reply()
        await self._uplink.submit(escalation, reply, block=True)
        await reply.settled.wait()
        if reply.error is not None:
            raise reply.error
        assert reply.said is not None
        return reply.said


class AliasAsker:
    """Asks under another camera's name, and gives the verdict to the first.

    All pipelines of a comparison are of one camera, so that the coin for audits falls alike for
    all; the cloud, which remembers a whole frame for each camera, must take them for many.

    Args:
        asker: asks.
        alias: the name in the cloud.
        stranger: ask each time under a name that the cloud has never heard, so that it has no
            background.
    """

    def __init__(self, asker: Asker, alias: str, *, stranger: bool = False) -> None:
        self._asker = asker
        self._alias = alias
        self._stranger = stranger
        self._numbers = itertools.count()

    async def ask(self, escalation: Escalation) -> Verdict:
        """See `Asker.ask`."""
        alias = self._alias
        # A canvas is whole by itself, and its session belongs to one camera.
        if self._stranger and escalation.canvas is None:
            alias = f"{alias}-{next(self._numbers)}"
        verdict = await self._asker.ask(replace(escalation, camera=alias))
        return replace(verdict, camera=escalation.camera)


class _Reply:
    """What became of one question."""

    def __init__(self) -> None:
        self.settled = anyio.Event()
        self.said: Verdict | None = None
        self.error: SecondlookError | None = None

    def verdict(self, verdict: Verdict) -> None:
        self.said = verdict
        self.settled.set()

    def failed(self, escalation: Escalation, error: SecondlookError) -> None:
        self.error = error
        self.settled.set()


@asynccontextmanager
async def counted_uplink(port: int) -> AsyncIterator[tuple[CountingProxy, UplinkAsker]]:
    """An uplink to a cloud on a loopback port, connected, whose bytes are counted."""
    async with CountingProxy("127.0.0.1", port).running() as proxy:
        # A slow machine makes verdicts late, which is measured; it does not make them useless.
        way = UplinkSettings(
            address=proxy.target, timeout_s=TIMEOUT_S, breaker=BreakerSettings(enabled=False)
        )
        async with SessionUplink(way, SystemClock(), CollectorRegistry()) as uplink:
            await connected(uplink)
            yield proxy, UplinkAsker(uplink)


async def connected(uplink: Uplink) -> None:
    """Wait for the connection: its set-up is apart, in time as in bytes.

    Raises:
        Unavailable: there is none after a long while.
    """
    with anyio.move_on_after(TIMEOUT_S):
        while uplink.state is not UplinkState.READY:  # noqa: ASYNC110 - it tells when asked only
            await anyio.sleep(0.02)
        return
    raise Unavailable(f"the cloud's own port on loopback cannot be reached in {TIMEOUT_S:g} s")
