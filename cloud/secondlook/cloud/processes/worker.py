"""One of the processes that share a port: ``python -m secondlook.cloud.processes.worker FD``.

Every signal drains, the second as the first: a terminal and a service manager send theirs to all
processes at once, and the supervisor sends its own besides. To leave at once is the supervisor's
to decide, who kills.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec

import anyio
import anyio.to_thread
import cv2

from secondlook.cloud.processes.link import (
    Failed,
    Serving,
    read_settings,
    send_report,
    until_over,
)
from secondlook.cloud.service import running_cloud
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.background import background_tasks
from secondlook.shared.errors import SecondlookError
from secondlook.shared.telemetry import bind, configure_logging

EXIT_FAILED = 1
"""Why is in the report."""


async def serve(settings: CloudSettings, peer: socket.socket) -> None:
    """Serve until a signal comes, or the supervisor wants no more.

    Args:
        settings: what to serve, on the port that was reserved for all.
        peer: to the supervisor.
    """
    cv2.setNumThreads(1)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with background_tasks() as tasks:
            stop = anyio.Event()
            tasks.start_soon(_on_signal, signals, stop)
            tasks.start_soon(_on_silence, peer, stop)
            async with running_cloud(settings) as cloud:
                await anyio.to_thread.run_sync(send_report, peer, Serving(cloud.metrics_port))
                await stop.wait()


async def _on_signal(signals: AsyncIterator[signal.Signals], stop: anyio.Event) -> None:
    async for _ in signals:
        stop.set()


async def _on_silence(peer: socket.socket, stop: anyio.Event) -> None:
    await until_over(peer)
    stop.set()


def _main(number: int, descriptor: int) -> int:
    peer = socket.socket(fileno=descriptor)
    try:
        settings = read_settings(peer)
    except EOFError:
        return EXIT_FAILED
    configure_logging(settings.log.level, settings.log.format)
    try:
        with bind(process=number):
            anyio.run(
                serve,
                settings,
                peer,
                backend_options={"use_uvloop": find_spec("uvloop") is not None},
            )
    except SecondlookError as error:
        send_report(peer, Failed(error))
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), int(sys.argv[2])))
