"""The servers of a run, each a process of its own, on free ports of loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from secondlook.shared.errors import Unavailable

START_S = 60.0
END_S = 30.0
MAX_BATCH = 16
DETECTOR = "detector"
"""Name of the detector in every server."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        port: where it listens.
        pids: its processes.
    """

    port: int
    pids: tuple[int, ...]

    def spent_s(self) -> tuple[float, ...]:
        """Processor time that each process has used so far, seconds; user and system."""
        spent = [psutil.Process(pid).cpu_times() for pid in self.pids]
        return tuple(times.user + times.system for times in spent)


@contextmanager
def bare_server(files: Mapping[str, Path], detector: Path | None) -> Iterator[Server]:
    """The bare server."""
    arguments = [json.dumps({name: str(file) for name, file in files.items()})]
    if detector is not None:
        arguments.append(str(detector))
    process = _python("secondlook.cli.bench.serve.bare", *arguments)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Unavailable("the bare server did not start")
        yield Server(int(line), (process.pid,))
    finally:
        _end(process)


@contextmanager
def our_server(
    files: Mapping[str, Path], detector: Path | None, *, processes: int = 1
) -> Iterator[Server]:
    """The service as ``secondlook cloud serve`` runs it; several processes share its port."""
    with TemporaryDirectory(prefix="sl-bench-") as name:
        folder = Path(name)
        settings, ready, log = (folder / file for file in ("cloud.toml", "ready.json", "log"))
        settings.write_text(_settings(files, detector, folder / "memory.db", processes))
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - this interpreter
                [
                    *(sys.executable, "-m", "secondlook.cli", "cloud", "serve"),
                    *("--config", str(settings), "--ready-file", str(ready)),
                ],
                stdout=out,
                stderr=out,
            )
        try:
            said = _wait_ready(process, ready, log)
            # The supervisor of several does nothing meanwhile, and is not one of those that serve.
            yield Server(said["port"], tuple(said.get("processes", (process.pid,))))
        finally:
            # The supervisor of several is not to be killed before they have ended.
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            _end(process)


@contextmanager
def local_loop(model: Path, picture: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The loop that serves nobody."""
    process = _python("secondlook.cli.bench.serve.loop", str(model), str(picture))
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise Unavailable("the local loop did not start")
        yield process
    finally:
        _end(process)


def _python(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _settings(
    files: Mapping[str, Path], detector: Path | None, memory: Path, processes: int
) -> str:
    lines = [
        "[server]",
        "port = 0",
        f"processes = {processes}",
        "[metrics]",
        "port = 0",
        "[memory]",
        f"url = {json.dumps(f'sqlite:///{memory}')}",
        # Callers repeat themselves here: what is measured is the network, not what was kept.
        "[cache]",
        "enabled = false",
        "[log]",
        'level = "warning"',
    ]
    models = dict(files) if detector is None else {DETECTOR: detector, **files}
    for name, file in models.items():
        lines += ["[[models]]", f"name = {json.dumps(name)}", f"path = {json.dumps(str(file))}"]
        if name != DETECTOR:
            lines.append(f"max_batch = {MAX_BATCH}")
    return "\n".join(lines) + "\n"


def _wait_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, Any]:
    """What the ready file says, once calls are answered."""
    end_s = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end_s:
            raise Unavailable(f"the service did not start: {log.read_text()[-2000:]}")
        time.sleep(0.02)
    said: dict[str, Any] = json.loads(ready.read_text())
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
