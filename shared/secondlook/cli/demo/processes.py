"""Both tiers as real processes: started, waited for, heard, and ended for certain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from secondlook.shared.errors import Unavailable

START_TIMEOUT_S = 60.0
"""Longest wait for a process to be ready: loading a model on a busy machine takes its time."""

_END_TIMEOUT_S = 10.0
_LOOK_S = 0.05


@dataclass(slots=True)
class Tier:
    """A running process of one tier.

    Attributes:
        name: for people: "secondlook edge run".
        process: the process; standard output is a pipe where that was asked.
        log: file of its standard error.
        ready: what its ready file said.
    """

    name: str
    process: anyio.abc.Process
    log: Path
    ready: dict[str, Any]

    async def failure(self) -> Unavailable:
        """What to say when the process has ended and should not have."""
        code = await self.process.wait()
        text = await anyio.Path(self.log).read_text(errors="replace")
        said = [line for line in text.splitlines() if line.strip()]
        return Unavailable(
            f"{self.name} ended with code {code}: {said[-1] if said else 'it said nothing'}",
            remedy="`secondlook doctor` finds what is wrong",
        )


@asynccontextmanager
async def running(
    arguments: Sequence[str], folder: Path, *, pipe: bool = False
) -> AsyncIterator[Tier]:
    """Run ``secondlook ARGUMENTS --ready-file ...`` while the block runs; ready on entry.

    The first signal at the end asks it to finish, and it is killed where it does not.

    Args:
        arguments: of the command, for example ``["cloud", "serve", "--port", "0"]``.
        folder: where its log and its ready file go.
        pipe: whether its standard output is wanted.

    Raises:
        Unavailable: it ended before it was ready, or never became ready.
    """
    name = " ".join(["secondlook", *arguments[:2]])
    log, ready_file = folder / f"{arguments[0]}.log", folder / f"{arguments[0]}.ready.json"
    command = [
        sys.executable, "-m", "secondlook.cli", *arguments, "--ready-file", str(ready_file)
    ]  # fmt: skip
    with await anyio.to_thread.run_sync(lambda: log.open("wb")) as errors:
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else errors,
            stderr=errors,
        )
        tier = Tier(name, process, log, {})
        try:
            tier.ready = await _ready(tier, ready_file)
            yield tier
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)


async def whole_lines(stream: anyio.abc.ByteReceiveStream) -> AsyncIterator[bytes]:
    """Whole lines of a stream, to its end."""
    rest = b""
    async for piece in stream:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
    if rest.strip():
        raise Unavailable("the edge's output ended in the middle of a line")


def as_toml(tables: dict[str, dict[str, Any]], lists: dict[str, list[dict[str, Any]]]) -> str:
    """Flat tables as TOML; JSON's strings, numbers and booleans are TOML's."""
    parts = [(f"[{name}]", table) for name, table in tables.items()]
    parts += [(f"[[{name}]]", table) for name, rows in lists.items() for table in rows]
    return "\n".join(
        "\n".join([head, *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""])
        for head, table in parts
    )


async def _ready(tier: Tier, path: Path) -> dict[str, Any]:
    """What the ready file says, once it is there."""
    file = anyio.Path(path)
    with anyio.move_on_after(START_TIMEOUT_S):
        # A file is all that tells, so it is looked for; the wait ends with the process too.
        while not await file.exists():
            if tier.process.returncode is not None:
                raise await tier.failure()
            await anyio.sleep(_LOOK_S)
        said: dict[str, Any] = json.loads(await file.read_text())
        return said
    raise Unavailable(f"{tier.name} was not ready after {START_TIMEOUT_S:g} s")


async def _end(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_END_TIMEOUT_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()
