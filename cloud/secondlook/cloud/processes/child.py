"""One process as the supervisor sees it: started, heard, drained, killed."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from anyio.abc import Process

from secondlook.cloud.processes.link import Report, report_of, send_settings
from secondlook.cloud.settings import CloudSettings

MODULE = "secondlook.cloud.processes.worker"


class Child:
    """A process that runs; made by `started`.

    Args:
        process: the process.
        peer: to it.
    """

    def __init__(self, process: Process, peer: socket.socket) -> None:
        self._process = process
        self._peer = peer

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    async def report(self) -> Report | None:
        """What it says of itself; ``None``: it ended without a word."""
        return await report_of(self._peer)

    async def wait(self) -> int:
        """Its exit code, once it has ended; negative: the signal that killed it."""
        return await self._process.wait()

    def drain(self) -> None:
        """Let it finish what it has accepted, and end."""
        try:
            self._peer.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has ended already

    def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def started(number: int, settings: CloudSettings) -> AsyncIterator[Child]:
    """Start a process; it is killed where the block ends before it does.

    Args:
        number: which of the processes it is.
        settings: what it is to serve.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = await anyio.open_process(
                [sys.executable, "-m", MODULE, str(number), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=None,
                stderr=None,
                pass_fds=[theirs.fileno()],
                # The signals of a terminal are the supervisor's to obey.
                start_new_session=True,
            )
        child = Child(process, ours)
        try:
            await anyio.to_thread.run_sync(send_settings, ours, settings)
            yield child
        finally:
            child.kill()
            with anyio.CancelScope(shield=True):
                await process.wait()
