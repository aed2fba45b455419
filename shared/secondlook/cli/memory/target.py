"""Which context memory a command works on."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
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


@dataclass(frozen=True, slots=True)
class Target:
    """The memory that the user means.

    Attributes:
        url: as given; ``None``: the default file.
        namespace: Redis: what all keys begin with.
    """

    url: str | None
    namespace: str

    def use(self, work: Callable[[ContextStore], Awaitable[T]], *, create: bool = False) -> T:
        """Run ``work`` on the store, which is closed behind it.

        Args:
            work: what to do.
            create: whether a SQLite file that does not exist is made.

        Raises:
            click.UsageError: no store is named, and there is no default file.
            StoreError: it does not exist, cannot be opened or cannot be reached.
        """
        # gRPC's own log repeats on standard error what our errors say better.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        # What a store warns of when it is opened is for who runs it, not for who looks into it.
        configure_logging("error")
        url = self.url or _default()
        if not create:
            _must_exist(url)

        async def run() -> T:
            async with _opened(url, self.namespace) as store:
                return await work(store)

        return anyio.run(run)


def on_a_store(command: Command) -> Command:
    """Add ``--store``, ``--namespace`` and ``--json``; the command gets a `Target`, ``target``."""

    @wraps(command)
    def on_target(*arguments: Any, url: str | None, namespace: str, **named: Any) -> Any:
        return command(*arguments, target=Target(url, namespace), **named)

    with_options: Command = on_target
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="For machines: JSON on standard output."
        ),
        click.option(
            "--namespace",
            envvar=f"{VARIABLE}_NAMESPACE",
            default="secondlook",
            show_default=True,
            help="Redis: what all keys begin with, as memory.namespace of the cloud.",
        ),
        click.option(
            "--store",
            "url",
            envvar=VARIABLE,
            metavar="URL",
            help="sqlite:///PATH, redis://... and its kin, grpc://HOST:PORT or grpcs://... "
            f"(also from {VARIABLE}); without either, ./{DEFAULT_FILE} where that exists.",
        ),
    ):
        with_options = option(with_options)
    return with_options


def by_whom(command: Command) -> Command:
    """Add ``--writer``."""
    return click.option(
        "--writer",
        default=writer_name,
        show_default="you@this-machine",
        help="Who writes, as others read it in the record; '' where a certificate says it.",
    )(command)


def writer_name() -> str:
    """``user@machine``, within what a record's writer may be."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    name = "".join(c for c in f"{user}@{socket.gethostname()}" if c.isprintable())
    return name.encode()[:MAX_WRITER_BYTES].decode(errors="ignore")


def _default() -> str:
    if Path(DEFAULT_FILE).is_file():
        return f"{_SQLITE}{DEFAULT_FILE}"
    raise click.UsageError(
        f"no context memory is named: give --store URL or set {VARIABLE}, for instance "
        f"grpc://127.0.0.1:50051. Without either, {DEFAULT_FILE} in this folder is used, "
        "and there is none."
    )


def _must_exist(url: str) -> None:
    """Looking into a memory must not make an empty one out of a typo."""
    path = url.removeprefix(_SQLITE)
    if url.startswith(_SQLITE) and path != ":memory:" and not Path(path).exists():
        raise StoreError(
            f"context memory {path} does not exist",
            remedy="check --store; put and import make the file",
        )


@asynccontextmanager
async def _opened(url: str, namespace: str) -> AsyncIterator[ContextStore]:
    store = await open_store(url, namespace=namespace)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()
