"""Which context memory a command works on."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click

from secondlook.shared.errors import StoreError
from secondlook.shared.memory import ContextStore, open_store
from secondlook.shared.memory.rules import MAX_WRITER_BYTES
from secondlook.shared.telemetry import configure_logging

T = TypeVar("T")
Command = Callable[..., Any]

VARIABLE = "SECONDLOOK_MEMORY"
DEFAULT_FILE = "secondlook-cloud.db"
"""What `secondlook cloud serve` keeps its memory in where nothing else is configured."""
_SQLITE = "sqlite:///"


def on_a_store(command: Command) -> Command:
    """Add ``--store`` and ``--json``, which every command of the group has."""
    command = click.option(
        "--json", "as_json", is_flag=True, help="For machines: JSON on standard output, no table."
    )(command)
    return click.option(
        "--store",
        "url",
        envvar=VARIABLE,
        metavar="URL",
        help="sqlite:///PATH, redis://..., rediss://..., grpc://HOST:PORT or grpcs://HOST:PORT "
        f"(also from {VARIABLE}); without either, ./{DEFAULT_FILE} where that exists.",
    )(command)


def by_whom(command: Command) -> Command:
    """Add ``--writer``."""
    return click.option(
        "--writer",
        default=writer_name,
        show_default="you@this-machine",
        help="Who writes, as others read it in the record.",
    )(command)


def use(
    url: str | None, work: Callable[[ContextStore], Awaitable[T]], *, create: bool = False
) -> T:
    """Run ``work`` on the store of ``url``, which is closed behind it.

    Args:
        url: as given by the user; ``None``: the default file.
        work: what to do with the store.
        create: whether a SQLite file that does not exist is made.

    Raises:
        click.UsageError: no store is named, and there is no default file.
        StoreError: it does not exist, cannot be opened or cannot be reached.
    """
    # gRPC's own log repeats on standard error what our errors say better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    configure_logging("warning")
    chosen = _chosen(url)
    if not create:
        _must_exist(chosen)

    async def run() -> T:
        async with _opened(chosen) as store:
            return await work(store)

    return anyio.run(run)


def writer_name() -> str:
    """``user@machine``, within what a record's writer may be."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    name = "".join(c for c in f"{user}@{socket.gethostname()}" if c.isprintable())
    return name.encode()[:MAX_WRITER_BYTES].decode(errors="ignore")


def _chosen(url: str | None) -> str:
    if url:
        return url
    if Path(DEFAULT_FILE).is_file():
        return f"{_SQLITE}{DEFAULT_FILE}"
    raise click.UsageError(
        f"no context memory is named: give --store URL or set {VARIABLE}, for instance "
        f"grpc://127.0.0.1:50051. Without either, {DEFAULT_FILE} in this folder is used, "
        "and there is none."
    )


def _must_exist(url: str) -> None:
    """Looking into a memory must not make an empty one out of a typo."""
    path = url.removeprefix(_SQLITE).partition("?")[0]
    if url.startswith(_SQLITE) and path != ":memory:" and not Path(path).exists():
        raise StoreError(
            f"context memory {path} does not exist",
            remedy="check --store; put, edit and import make the file",
        )


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[ContextStore]:
    store = await open_store(url)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()
