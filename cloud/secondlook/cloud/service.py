"""The whole service as one block: models, engine, store, gRPC server, metrics.

::

    async with running_cloud(settings) as cloud:
        ... cloud.port ...

On leaving, readiness goes off, accepted work is finished (at most ``drain_timeout_s``), and
everything is released, in the reverse order of its start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry

from secondlook.cloud.access import Access, device
from secondlook.cloud.cache import CachedEngine, CacheMetrics, VerdictCache, Warmth, kept_warm
from secondlook.cloud.canvas.canvases import Canvases
from secondlook.cloud.canvas.metrics import CanvasMetrics
from secondlook.cloud.engine.protocol import Engine
from secondlook.cloud.engines import LoadModels, running_engine
from secondlook.cloud.judge import Judge
from secondlook.cloud.maintenance import maintained
from secondlook.cloud.metrics import JudgeMetrics, MemoryMetrics, RpcMetrics
from secondlook.cloud.picture.background import Backgrounds
from secondlook.cloud.picture.decoders import Decoders
from secondlook.cloud.rpc.boundary import Boundary
from secondlook.cloud.rpc.escalation import EscalationServicer
from secondlook.cloud.rpc.health import HealthServicer
from secondlook.cloud.rpc.inference import InferenceServicer
from secondlook.cloud.rpc.memory import ContextMemoryServicer
from secondlook.cloud.rpc.server import SERVICES, listening, register
from secondlook.cloud.settings import CloudSettings
from secondlook.cloud.stability import BreakerMetrics, Breakers, monitored
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.detect.session import usable_cores
from secondlook.shared.memory import ContextStore, open_store
from secondlook.shared.telemetry import get_logger, serve_metrics
from secondlook.shared.trust import SiteCertifier

MAX_DECODE_THREADS = 4


@dataclass(frozen=True, slots=True)
class RunningCloud:
    """What is there while the service runs.

    Attributes:
        port: the gRPC port, also where 0 was asked.
        metrics_port: the HTTP port of the metrics; ``None`` where they are off.
        engine: what runs the models.
        judge: what answers escalations.
        canvases: what decodes canvas streams.
        store: the context memory.
        health: readiness; ``set_serving(False)`` begins a drain.
    """

    port: int
    metrics_port: int | None
    engine: Engine
    judge: Judge
    canvases: Canvases
    store: ContextStore
    health: HealthServicer


@asynccontextmanager
async def running_cloud(
    settings: CloudSettings,
    registry: CollectorRegistry | None = None,
    *,
    load: LoadModels | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[RunningCloud]:
    """Run the service while the block runs.

    Args:
        settings: what to serve, where.
        registry: where to count; default: a fresh one.
        load: opens the models of the settings in another way than from their files.
        clock: the clock of the deadlines.

    Raises:
        InvalidConfig, InvalidModel: the settings or a model cannot work.
        Unavailable: a port is in use.
        StoreError: the context memory cannot be opened.
    """
    registry = registry or CollectorRegistry()
    clock = clock or SystemClock()
    log = get_logger(__name__)
    # Read from the installed files, so not on the event loop.
    release = await anyio.to_thread.run_sync(version, "secondlook")
    health = HealthServicer(SERVICES, release, clock)
    async with AsyncExitStack() as stack:
        metrics_port = None
        if settings.metrics.enabled:
            metrics_port = await stack.enter_async_context(
                serve_metrics(
                    registry,
                    settings.metrics.host,
                    settings.metrics.port,
                    ready=lambda: health.serving,
                )
            )
        memory = settings.memory
        store = await open_store(
            memory.url,
            namespace=memory.namespace,
            wait_replicas=memory.wait_replicas,
            wait_ms=memory.wait_ms,
        )
        stack.push_async_callback(store.close)
        await stack.enter_async_context(
            maintained(
                store,
                keep_s=memory.keep_tombstones_s,
                every_s=memory.compact_every_s,
                metrics=MemoryMetrics(registry),
                certifier=SiteCertifier(store, writer="secondlook-cloud"),
                certify_every_s=memory.certify_every_s,
                wall=clock.wall,
            )
        )
        engine = await _engine(stack, settings, registry, clock, load, store)
        decoders = Decoders(
            settings.server.decode_threads or default_decode_threads(settings.server.processes),
            settings.server.max_image_pixels,
            settings.server.max_concurrent,
            clock,
        )
        stack.callback(decoders.close)
        judge = Judge(
            engine,
            Backgrounds(settings.background.max_cameras, settings.background.max_age_s, clock),
            decoders,
            JudgeMetrics(registry),
            max_concurrent=settings.server.max_concurrent,
            clock=clock,
        )
        canvas_metrics = CanvasMetrics(registry)
        canvases = _canvases(settings, canvas_metrics)
        stack.push_async_callback(anyio.to_thread.run_sync, canvases.close)
        boundary = Boundary(
            RpcMetrics(registry), clock, settings.server.default_deadline_s, _access(settings)
        )
        port = await stack.enter_async_context(
            listening(
                settings.server,
                lambda server: register(
                    server,
                    EscalationServicer(judge, boundary, canvases, canvas_metrics),
                    ContextMemoryServicer(store, boundary, max_watches=memory.max_watches),
                    health,
                    InferenceServicer(
                        engine, boundary, decoders, ready=lambda: health.serving, release=release
                    ),
                ),
            )
        )
        stack.callback(boundary.drain)
        stack.callback(health.close)
        health.set_serving(True)
        log.info(
            "serving",
            host=settings.server.host,
            port=port,
            metrics_port=metrics_port,
            tls=settings.server.tls.enabled,
            devices=len(settings.access.devices),
            models=[info.name for info in engine.detectors()],
        )
        yield RunningCloud(port, metrics_port, engine, judge, canvases, store, health)
        log.info("draining", timeout_s=settings.server.drain_timeout_s)


def _canvases(settings: CloudSettings, metrics: CanvasMetrics) -> Canvases:
    canvas = settings.canvas
    return Canvases(
        canvas.max_canvases, canvas.processes, canvas.max_pixels, canvas.timeout_s, metrics
    )


def _access(settings: CloudSettings) -> Access | None:
    """Who may do what; ``None``: everyone everything."""
    devices = settings.access.devices
    if not devices:
        if settings.server.tls.client_ca is not None:
            get_logger(__name__).warning(
                "no access.devices: whoever has a certificate of the authority may do everything"
            )
        return None
    return Access(device(known.identity, known.cameras, known.reads) for known in devices)


def default_decode_threads(processes: int = 1) -> int:
    """One per core that this process may use, at most 4: more would only fight the network.

    Args:
        processes: among how many the cores are shared.
    """
    return min(MAX_DECODE_THREADS, max(1, usable_cores() // processes))


async def _engine(
    stack: AsyncExitStack,
    settings: CloudSettings,
    registry: CollectorRegistry,
    clock: Clock,
    load: LoadModels | None,
    store: ContextStore,
) -> Engine:
    """The engine with breakers around its backends, and what it has answered kept."""
    breakers = None
    if settings.breaker.enabled:
        breakers = Breakers(settings.breaker, BreakerMetrics(registry), clock)
    cache_metrics = CacheMetrics(registry)
    cache = VerdictCache(settings.cache.max_bytes, cache_metrics)
    engine: Engine = await stack.enter_async_context(
        running_engine(
            settings, registry, clock, load=load, breakers=breakers, changed=cache.forget
        )
    )
    stack.push_async_callback(_drain_engine, engine, settings.server.drain_timeout_s)
    await stack.enter_async_context(
        monitored(
            registry, settings.monitor, clock, ticks=() if breakers is None else (breakers.tick,)
        )
    )
    if not settings.cache.enabled:
        return engine
    cached = CachedEngine(engine, cache, clock)
    stack.callback(cached.close)
    if settings.cache.warm_up:
        warmth = Warmth(cached, store, cache_metrics, clock.wall)
        await stack.enter_async_context(kept_warm(warmth, settings.cache.save_every_s))
    return cached


async def _drain_engine(engine: Engine, timeout_s: float) -> None:
    with anyio.move_on_after(timeout_s, shield=True):
        await engine.drain()
