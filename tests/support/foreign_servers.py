"""Servers of the Open Inference Protocol that others have written, each in its own environment.

They pin other releases of gRPC and protobuf than ours, so they are processes that know nothing of
us. Their environments lie beside the project's, are made once, and made anew for another release.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.waiting import until_beside

HERE = Path(__file__).parent / "foreign"
ROOT = Path(__file__).parents[2]
KINDS = {"f": "FP32", "d": "FP64", "h": "FP16", "i": "INT64", "u": "UINT8", "b": "BOOL"}
"""Inputs of the model `same`, and their datatypes."""


@dataclass
class Foreign:
    """One server, at one port, whether it runs or not.

    Attributes:
        name: whose it is.
        port: of gRPC.
        version: of its model `numbers`; empty: it has no versions.
        indexed: whether it tells which models it has.
    """

    name: str
    python: Path
    folder: Path
    command: Callable[[Foreign], list[str]]
    version: str = ""
    indexed: bool = False
    port: int = field(default_factory=lambda: free_port())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Killed at the end. Blocking."""
        log = self.folder / "server.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                self.command(self),
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(self.folder)},
            )
        try:
            until_beside(process, log, self._answers)
            yield
        finally:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def mlserver(folder: Path) -> Foreign:
    """MLServer, with the models `numbers` and `same`."""
    shutil.copy(HERE / "mlserver_models.py", folder)
    same = {**KINDS, "t": "BYTES"}
    for name, kind, inputs, outputs, more in (
        ("numbers", "Numbers", {"x": "FP32"}, {"y": "FP32"}, {"version": "v7"}),
        ("same", "Same", same, {key.upper(): value for key, value in same.items()}, {}),
    ):
        (folder / name).mkdir()
        width = 2 if name == "numbers" else 3
        said = {
            "name": name,
            "implementation": f"mlserver_models.{kind}",
            "parameters": more,
            "inputs": _tensors(inputs, width),
            "outputs": _tensors(outputs, width),
        }
        (folder / name / "model-settings.json").write_text(json.dumps(said))

    def command(server: Foreign) -> list[str]:
        settings = {
            "host": "127.0.0.1",
            "http_port": free_port(),
            "grpc_port": server.port,
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        return [str(server.python.with_name("mlserver")), "start", "."]

    python = environment("mlserver", "mlserver==1.7.1")
    return Foreign("mlserver", python, folder, command, version="v7", indexed=True)


def kserve(folder: Path) -> Foreign:
    """KServe's own server, with the models `numbers` and `same`."""

    def command(server: Foreign) -> list[str]:
        return [str(server.python), str(HERE / "kserve_server.py"), str(server.port)]

    return Foreign("kserve", environment("kserve", "kserve==0.21.0"), folder, command)


def environment(name: str, requirement: str) -> Path:
    """The Python of an environment with that package. Blocking; takes a minute when it is new."""
    place = ROOT / f".venv-{name}"
    python, ready = place / "bin" / "python", place / ".ready"
    if ready.exists() and ready.read_text() == requirement:
        return python
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    made = subprocess.run(
        [*pip, "install", "--quiet", requirement], capture_output=True, text=True, check=False
    )
    if made.returncode:
        # Without a registry there is nothing to be tested; a package that cannot be is an error.
        if "ConnectionError" in made.stderr or "NewConnectionError" in made.stderr:
            pytest.skip(f"no registry to take {requirement} from")
        pytest.fail(made.stderr[-2000:])
    ready.write_text(requirement)
    return python


def free_port() -> int:
    """A port of the loopback that nobody has."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def _tensors(kinds: dict[str, str], width: int) -> list[dict[str, object]]:
    return [{"name": name, "datatype": kind, "shape": [-1, width]} for name, kind in kinds.items()]
