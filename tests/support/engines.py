"""The engines that the conformance suite holds to their contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engine.ray import RayEngine, RaySettings
from secondlook.cloud.engine.remote import RemoteEngine, RemoteSettings
from support.engine import Bench, NumberedBackend, engine_over, offer, snapshot
from support.inference import inference_server
from support.ray_models import open_numbered

BOUND = 6
"""Most requests that wait."""


@dataclass(frozen=True, slots=True)
class Rig:
    """An engine that serves two `NumberedBackend`s.

    Attributes:
        engine: serves ``first`` (the default), version 1, up to 4 rows, and ``second``, version 5.
            ``first`` has a version 2, and there is a model ``third``, version 7, that can be
            loaded; ``broken`` cannot.
        device: the network of ``first``; ``None`` where it runs in another process, and can
            neither be held nor counted.
    """

    engine: Engine
    device: NumberedBackend | None


@asynccontextmanager
async def local_rig() -> AsyncIterator[Rig]:
    """The engine `local`."""
    bench = Bench([offer("first", 2), offer("third", 7), offer("broken", 9)])
    bench.corrupt.add("9")
    served = offer("first", 1), offer("second", 5)
    policy = Policy(max_queue=BOUND)
    async with engine_over(bench, *served, policy=policy, default="first") as engine:
        yield Rig(engine, next(one for one in bench.opened if one.version == 1))


@asynccontextmanager
async def remote_rig() -> AsyncIterator[Rig]:
    """The engine `remote`, on another of ours."""
    async with local_rig() as far, inference_server(far.engine) as (port, _):
        # Looked at often: what changes there by itself is seen soon.
        settings = RemoteSettings(address=f"127.0.0.1:{port}", refresh_s=0.05)
        async with RemoteEngine(settings, default="first").running() as engine:
            yield Rig(engine, None)


@asynccontextmanager
async def ray_rig() -> AsyncIterator[Rig]:
    """The engine `ray`, on a cluster of one node that all tests share."""
    from support.ray_cluster import shared_cluster

    # What a test leaves, the next one uses: starting a replica takes seconds.
    settings = RaySettings(
        address=shared_cluster().address,
        cpus=0.1,
        max_replicas=1,
        linger_s=600.0,
    )
    engine = RayEngine(
        settings,
        open_release=open_numbered,
        registry=CollectorRegistry(),
        source=Bench([offer("first", 2), offer("third", 7), offer("broken", 9)]),
        explicit=True,
        default="first",
    )
    async with engine.running():
        await engine.update(snapshot(offer("first", 1), offer("second", 5)))
        yield Rig(engine, None)


ENGINES: Mapping[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {
    "local": local_rig,
    "remote": remote_rig,
}

HEAVY_ENGINES: Mapping[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {"ray": ray_rig}
"""Those that need more than the light environment."""
