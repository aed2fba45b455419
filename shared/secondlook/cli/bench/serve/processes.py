"""The servers of a run, each a process of its own, on free ports of loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from secondlook.shared.errors import Unavailable

START_S = 60.0
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

    def cpu_s(self) -> float:
        """Processor time it has used so far, seconds; user and system, of all its processes."""
        spent = [psutil.Process(pid).cpu_times() for pid in self.pids]
        return float(sum(times.user + times.system for times in spent))


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
    """The service as ``secondlook cloud serve`` runs it; several processes share one port."""
    with TemporaryDirectory(prefix="sl-bench-") as folder:
        yield from _ours(files, detector, Path(folder), processes)


def _ours(
    files: Mapping[str, Path], detector: Path | None, folder: Path, processes: int
) -> Iterator[Server]:
    running: list[subprocess.Popen[bytes]] = []
    port = 0
    try:
        for number in range(processes):
            settings = folder / f"cloud-{number}.toml"
            settings.write_text(_settings(files, detector, port, shared=processes > 1))
            ready = folder / f"ready-{number}.json"
            log = settings.with_suffix(".log")
            with log.open("wb") as out:
                process = subprocess.Popen(  # noqa: S603 - this interpreter
                    [
                        *(sys.executable, "-m", "secondlook.cli", "cloud", "serve"),
                        *("--config", str(settings), "--ready-file", str(ready)),
                    ],
                    stdout=out,
                    stderr=out,
                )
            running.append(process)
            port = _wait_ready(process, ready, log)
        yield Server(port, tuple(process.pid for process in running))
    finally:
        for process in running:
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


def _settings(files: Mapping[str, Path], detector: Path | None, port: int, *, shared: bool) -> str:
    lines = [
        "[server]",
        f"port = {port}",
        f"reuse_port = {json.dumps(shared)}",
        "[metrics]",
        "port = 0",
        "[memory]",
        'url = "sqlite:///:memory:"',
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


def _wait_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> int:
    """The port, once calls are answered."""
    end_s = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end_s:
            raise Unavailable(f"the service did not start: {log.read_text()[-2000:]}")
        time.sleep(0.02)
    said: dict[str, int] = json.loads(ready.read_text())
    return said["port"]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
