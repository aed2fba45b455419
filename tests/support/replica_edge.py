"""Edges as processes of their own, in a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread

TESTS = Path(__file__).resolve().parents[1]


class EdgeProcess:
    """``support.replica_process``, and what it says."""

    def __init__(self, **given: Any) -> None:
        self.name = given["name"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.replica_process", json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
        )

    async def said(self) -> dict[str, Any]:
        """The next thing it says that is no trouble; empty at its end."""
        assert self.process.stdout is not None
        while True:
            line = await anyio.to_thread.run_sync(self.process.stdout.readline)
            heard: dict[str, Any] = json.loads(line) if line.endswith("\n") else {}
            if "trouble" not in heard:
                return heard

    async def tell(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        stdin = self.process.stdin
        await anyio.to_thread.run_sync(lambda: (stdin.write("\n"), stdin.flush()))

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def edge_process(**given: Any) -> Iterator[EdgeProcess]:
    edge = EdgeProcess(**given)
    try:
        yield edge
    finally:
        edge.kill()
