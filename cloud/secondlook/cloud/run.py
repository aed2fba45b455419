"""The process around the service: signals, and the ready file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import cv2

from secondlook.cloud.service import RunningCloud, running_cloud
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.telemetry import get_logger


async def serve(settings: CloudSettings, ready_file: Path | None = None) -> None:
    """Serve until a signal. The first one drains, the second one ends the process.

    Args:
        settings: what to serve, where.
        ready_file: gets ``{"port", "metrics_port", "pid"}`` as JSON once calls are answered.
    """
    # Pictures are decoded side by side; OpenCV splitting each one too would only fight the network.
    cv2.setNumThreads(1)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            stop = anyio.Event()
            tasks.start_soon(_obey, signals, stop)
            async with running_cloud(settings) as cloud:
                if ready_file is not None:
                    await anyio.to_thread.run_sync(_announce, ready_file, cloud)
                await stop.wait()
            tasks.cancel_scope.cancel()


async def _obey(signals: AsyncIterator[signal.Signals], stop: anyio.Event) -> None:
    log = get_logger(__name__)
    async for number in signals:
        if stop.is_set():
            log.warning("second signal, leaving at once", signal=number.name)
            os._exit(128 + number)
        log.info("signal, draining; a second one leaves at once", signal=number.name)
        stop.set()


def _announce(path: Path, cloud: RunningCloud) -> None:
    """Write the ready file so that a reader sees all of it or nothing."""
    said = {"port": cloud.port, "metrics_port": cloud.metrics_port, "pid": os.getpid()}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(said))
        part.replace(path)
    except OSError as error:
        raise InvalidConfig(f"ready file {path} cannot be written: {error.strerror}") from None
