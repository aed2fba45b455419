"""The process around the service: signals, and the ready file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import anyio.to_thread
import cv2

from secondlook.cloud.service import running_cloud
from secondlook.cloud.settings import CloudSettings
from secondlook.cloud.stopping import announce, obey


async def serve(settings: CloudSettings, ready_file: Path | None = None) -> None:
    """Serve until a signal, in this process. The first one drains, the second one ends it.

    Args:
        settings: what to serve, where.
        ready_file: gets ``{"port", "metrics_port", "pid"}`` as JSON once calls are answered.
    """
    # Pictures are decoded side by side; OpenCV splitting each one too would only fight the network.
    cv2.setNumThreads(1)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            stop = anyio.Event()
            tasks.start_soon(obey, signals, stop, lambda: None)
            async with running_cloud(settings) as cloud:
                if ready_file is not None:
                    said = {
                        "port": cloud.port,
                        "metrics_port": cloud.metrics_port,
                        "pid": os.getpid(),
                    }
                    await anyio.to_thread.run_sync(announce, ready_file, said)
                await stop.wait()
            tasks.cancel_scope.cancel()
