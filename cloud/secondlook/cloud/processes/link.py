"""What the supervisor and one of its processes say to each other, over a pair of sockets.

The supervisor sends the settings, one line of JSON: they may hold passwords, which arguments of a
process would show to everyone. The process answers once, when it serves or knows that it cannot.
After that nothing is sent: when the supervisor closes its end, or is gone, the process drains.
"""

from __future__ import annotations

import pickle
import socket
from contextlib import suppress
from dataclasses import dataclass

import anyio

from secondlook.cloud.settings import CloudSettings
from secondlook.shared.errors import SecondlookError

MAX_REPORT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Serving:
    """The process answers calls.

    Attributes:
        metrics_port: where its own metrics are; ``None`` where they are off.
    """

    metrics_port: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The process cannot serve.

    Attributes:
        error: why.
    """

    error: SecondlookError


Report = Serving | Failed


def send_settings(peer: socket.socket, settings: CloudSettings) -> None:
    """Say what to serve. Blocking, until the other end reads; one that has died does not matter."""
    with suppress(OSError):
        peer.sendall(settings.model_dump_json().encode() + b"\n")


def read_settings(peer: socket.socket) -> CloudSettings:
    """What to serve. Blocking.

    Raises:
        EOFError: the supervisor is gone.
    """
    with peer.makefile("rb") as lines:
        line = lines.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return CloudSettings.model_validate_json(line)


def send_report(peer: socket.socket, report: Report) -> None:
    """Say what has become of this process. Blocking, but for no time worth the name.

    A supervisor that is gone cannot hear it, which `until_over` tells soon enough.
    """
    with suppress(OSError):
        # The supervisor's own child, over a pair of sockets that nobody else has: pickled it is
        # the same error on the other side.
        peer.sendall(pickle.dumps(report))
        peer.shutdown(socket.SHUT_WR)


async def report_of(peer: socket.socket) -> Report | None:
    """What a process says of itself; ``None``: it ended without a word."""
    peer.setblocking(False)
    said = bytearray()
    while len(said) < MAX_REPORT_BYTES:
        await anyio.wait_readable(peer)
        try:
            part = peer.recv(65536)
        except ConnectionError:
            part = b""
        if not part:
            break
        said += part
    if not said:
        return None
    try:
        report = pickle.loads(bytes(said))  # noqa: S301 - see `send_report`
    except (pickle.UnpicklingError, EOFError):
        return None
    assert isinstance(report, Serving | Failed)
    return report


async def until_over(peer: socket.socket) -> None:
    """Return when the supervisor wants this process to drain, or is gone."""
    await anyio.wait_readable(peer)
