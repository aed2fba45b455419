"""One daemon for one memory: two that share a file would push each other's changes."""

from __future__ import annotations

import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread

from secondlook.shared.errors import StoreError


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold the lock of a memory while the block runs; its folder is made where it is missing.

    The system lets go of it when the process ends, however it ends.

    Raises:
        StoreError: another process holds it, or the folder cannot be written.
    """
    file = await anyio.to_thread.run_sync(_lock, path)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(file.close)


def _lock(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise StoreError(
            f"memory {path} cannot be opened: {error.strerror}",
            remedy="its folder must be writable, or set memory.path",
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreError(
            f"memory {path} is in use by another process",
            remedy="give each edge daemon a memory.path of its own",
        ) from None
    return file
