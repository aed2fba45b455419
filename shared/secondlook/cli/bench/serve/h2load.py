"""Callers that cost next to nothing: ``h2load`` of nghttp2, a program in C.

The Python callers of this benchmark take as much of the machine as the server that they ask, which
would leave one of two processes on two cores without a core. ``h2load`` comes with Debian's package
``nghttp2-client``; without it the Python callers ask.

It knows HTTP/2, not gRPC: what it sends is a ready frame, and a gRPC error is to it a success
without data. Hence the data are counted.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from secondlook.cli.bench.serve.callers import UNARY, Turn
from secondlook.shared.errors import Unavailable

PROGRAM = "h2load"
PACKAGE = "nghttp2-client"
PREFIX = struct.Struct(">BI")
"""What gRPC puts before each message: not compressed, and its length."""

LEAST_S = 0.5
"""Shorter turns may end before anything was answered, on a machine that is busy."""

_TOOK = re.compile(r"finished in ([\d.]+)(us|ms|s|m),")
_DONE = re.compile(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored")
_DATA = re.compile(r"\((\d+)\) data")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def installed() -> bool:
    """Whether the program is there."""
    return shutil.which(PROGRAM) is not None


def framed(request: bytes) -> bytes:
    """A message as it travels."""
    return PREFIX.pack(0, len(request)) + request


def load(
    port: int,
    request: bytes,
    reply_bytes: int,
    connections: int,
    seconds: float,
    spent_s: Callable[[], Sequence[float]],
) -> Turn:
    """Let each connection ask without pause. Blocking.

    Args:
        port: of the server, on loopback.
        request: a message.
        reply_bytes: size of the message that answers it.
        connections: how many ask, each one question at a time.
        seconds: for how long; at least `LEAST_S`.
        spent_s: processor time that each process of the server has used so far, seconds.

    Raises:
        Unavailable: it could not ask, or not all were answered well.
    """
    with TemporaryDirectory(prefix="sl-bench-") as name:
        body, log = Path(name) / "body", Path(name) / "log"
        body.write_bytes(framed(request))
        before = spent_s()
        done = subprocess.run(  # noqa: S603 - on our own loopback
            [
                *(
                    PROGRAM,
                    "--duration",
                    f"{round(1000 * max(seconds, LEAST_S))}ms",
                    "--clients",
                    str(connections),
                ),
                *("--max-concurrent-streams", "1", "--threads", "1"),
                *("--header", "content-type: application/grpc", "--header", "te: trailers"),
                *("--data", str(body), "--log-file", str(log)),
                f"http://127.0.0.1:{port}{UNARY}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        after = spent_s()
        if done.returncode:
            raise Unavailable(f"{PROGRAM} failed: {(done.stderr or done.stdout)[-500:]}")
        took_s = checked(done.stdout, PREFIX.size + reply_bytes)
        each = tuple(late - early for late, early in zip(after, before, strict=True))
        return Turn(durations_s(log.read_text()), took_s, sum(each), each)


def checked(told: str, answer_bytes: int) -> float:
    """How long it asked, seconds, once it is sure that all were answered well.

    Args:
        told: what the program printed.
        answer_bytes: size of a good answer, with its prefix.

    Raises:
        Unavailable: some failed, or their answers were errors; or it is another program.
    """
    took, counts, data = _TOOK.search(told), _DONE.search(told), _DATA.search(told)
    if took is None or counts is None or data is None:
        raise Unavailable(f"{PROGRAM} told something unknown: {told[-500:]}")
    done, succeeded, failed, errored = map(int, counts.groups())
    # An answer may be cut by the end of the run, and then counts as data alone.
    if failed or errored or succeeded < done or not done or int(data[1]) < done * answer_bytes:
        raise Unavailable(f"not all requests were answered well: {counts[0]}, {data[0]}")
    return float(took[1]) * _SECONDS[took[2]]


def durations_s(log: str) -> list[float]:
    """Of each request, seconds. A line is the start, the status and the microseconds it took."""
    return [int(line.rsplit("\t", 1)[1]) * 1e-6 for line in log.splitlines()]
