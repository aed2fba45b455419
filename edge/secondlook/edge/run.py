"""The process around the daemon: model, captures, metrics, signals, and the ready file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import cv2
from prometheus_client import CollectorRegistry

from secondlook.edge.capture.camera import CameraCapture
from secondlook.edge.daemon import Daemon, Limits
from secondlook.edge.daemon.protocol import Capture
from secondlook.edge.daemon.view import show_progress
from secondlook.edge.gate.opening import OpenGate, open_gate
from secondlook.edge.settings import CameraSettings, DetectorSettings, EdgeSettings
from secondlook.shared.clock import SystemClock
from secondlook.shared.detect import NetworkDetector, load_detector
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.telemetry import get_logger, serve_metrics
from secondlook.shared.zoo import model_file

_log = get_logger(__name__)


async def run_edge(
    settings: EdgeSettings,
    *,
    limits: Limits | None = None,
    ready_file: Path | None = None,
    progress: bool = False,
) -> None:
    """Run cameras until they end or a signal comes. The first drains, the second leaves at once.

    Args:
        settings: everything.
        limits: when to stop by itself.
        ready_file: gets ``{"metrics_port", "pid", "cameras"}`` as JSON once cameras are started.
        progress: show a live table on standard error.

    Raises:
        SecondlookError: the model cannot be loaded, or a camera failed for good.
    """
    # Cameras have threads of their own; OpenCV's pool would make them wait for each other.
    cv2.setNumThreads(1)
    detector = await anyio.to_thread.run_sync(load_light_model, settings.detector)
    registry = CollectorRegistry()
    clock = SystemClock()

    def capture(camera: CameraSettings) -> Capture:
        return CameraCapture(camera.id, camera.url, camera, clock, registry)

    try:
        async with AsyncExitStack() as stack:
            port = None
            if settings.metrics.enabled:
                port = await stack.enter_async_context(
                    serve_metrics(registry, settings.metrics.host, settings.metrics.port)
                )
            gate = await anyio.to_thread.run_sync(open_gate, settings.pipeline, detector.info)
            tell(gate)
            daemon = Daemon(settings, detector, capture, clock, registry, gate=gate)

            def ready() -> None:
                _log.info("running", cameras=len(settings.cameras), metrics_port=port)
                if ready_file is not None:
                    announce(ready_file, settings, port)

            signals = stack.enter_context(anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(_obey, signals, daemon)
            if progress:
                tasks.start_soon(show_progress, daemon)
            await daemon.run(limits, ready)
            tasks.cancel_scope.cancel()
    finally:
        detector.close()


def load_light_model(settings: DetectorSettings) -> NetworkDetector:
    """Load and warm up the light model. Blocking.

    Raises:
        InvalidModel: the file is missing, corrupt, or has a head that is not understood.
    """
    detector = load_detector(
        model_file(settings.model),
        names=settings.names,
        providers=settings.providers,
        threads=settings.threads,
        max_batch=settings.max_batch,
    )
    detector.warm_up()
    info = detector.info
    _log.info(
        "model loaded",
        model=info.name,
        version=info.version,
        head=info.head,
        provider=info.provider,
        input=f"{info.width}x{info.height}",
        classes=len(info.names),
    )
    return detector


def tell(gate: OpenGate) -> None:
    """Say which gate it is, and where its promise does not hold."""
    if gate.file is None:
        _log.info("gate", fingerprint=gate.fingerprint, threshold=gate.pipeline.gate.threshold)
        return
    _log.info(
        "gate",
        fingerprint=gate.fingerprint,
        threshold=gate.pipeline.gate.threshold,
        made_at=gate.file.made_at,
        clips=len(gate.file.clips),
    )
    for difference in gate.differences():
        _log.warning("the gate's promise was measured otherwise", setting=difference)


def announce(path: Path, settings: EdgeSettings, metrics_port: int | None) -> None:
    """Write the ready file so that a reader sees all of it or nothing.

    Raises:
        InvalidConfig: it cannot be written.
    """
    said = {
        "metrics_port": metrics_port,
        "pid": os.getpid(),
        "cameras": [camera.id for camera in settings.cameras],
    }
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(said))
        part.replace(path)
    except OSError as error:
        raise InvalidConfig(f"ready file {path} cannot be written: {error.strerror}") from None


async def _obey(signals: AsyncIterator[signal.Signals], daemon: Daemon) -> None:
    stopping = False
    async for number in signals:
        if stopping:
            _log.warning("second signal, leaving at once", signal=number.name)
            os._exit(128 + number)
        _log.info("signal, draining; a second one leaves at once", signal=number.name)
        stopping = True
        daemon.stop()
