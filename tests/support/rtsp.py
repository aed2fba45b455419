"""A real RTSP server as a process, from the package ``aio-rtsp-toolkit``: RTP over TCP.

It serves the H.264 files of a folder, each at its own rate to each client that plays it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from typing_extensions import Self

_SERVE = (
    "import asyncio, sys; from aio_rtsp_toolkit.server import serve; "
    "asyncio.run(serve(sys.argv[1], host='127.0.0.1', port=int(sys.argv[2])))"
)


def free_port() -> int:
    """A port of the loopback that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class RtspServer:
    """Serves ``folder`` at ``rtsp://127.0.0.1:port/NAME``; start and kill it as often as needed.

    Args:
        folder: holds the .mp4 files.
        port: the same for all starts; 0 chooses a free one.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []
        self._listening = threading.Event()

    def url(self, name: str, plays: int = 0) -> str:
        """URL of a file that is played ``plays`` times, 0: for ever."""
        return f"rtsp://127.0.0.1:{self.port}/{name}?play_count={plays}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Start the server and wait until it listens."""
        assert self._process is None, "it runs already"
        self._listening.clear()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-u", "-c", _SERVE, str(self.folder), str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": ""},
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._listening.wait(timeout_s):
            self.kill()
            raise RuntimeError("the RTSP server does not listen:\n" + "\n".join(self._lines))

    def kill(self) -> None:
        """SIGKILL: no TEARDOWN, no BYE, the sockets just die."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        assert self._reader is not None
        self._reader.join(10)
        self._process = None

    def freeze(self) -> None:
        """Stop it without closing anything: its clients see silence."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for raw in lines:
                line = raw.decode(errors="replace").rstrip()
                self._lines = [*self._lines[-50:], line]
                if "listening on" in line:
                    self._listening.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
