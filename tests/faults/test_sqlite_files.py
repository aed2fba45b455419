"""Files that are torn, foreign or read-only, and files that two processes write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from secondlook.shared.errors import StoreError
from secondlook.shared.memory import SqliteStore

pytestmark = pytest.mark.anyio


async def make(file: Path, count: int = 300) -> None:
    store = await SqliteStore.open(file)
    for n in range(count):
        await store.save(f"r{n}", {"x": "y" * 500}, 0, writer="w")
    await store.close()


@pytest.mark.parametrize("left", [0.999, 0.5, 0.1, 50 / 150_000])
async def test_a_truncated_file_is_told_and_not_made_worse(tmp_path: Path, left: float) -> None:
    file = tmp_path / "memory.db"
    await make(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * left)])
    torn = file.read_bytes()
    with pytest.raises(StoreError, match=r"damaged.*restore|not a SQLite.*restore"):
        await use(file)
    assert file.read_bytes()[:100] == torn[:100]


async def test_damage_within_is_told_and_elsewhere_it_works(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    await make(file)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xee" * 4096
    file.write_bytes(content)
    store = await SqliteStore.open(file)
    told = [await load(store, f"r{n}") for n in range(300)]
    lost = [text for text in told if text]
    assert 0 < len(lost) < 100
    assert all("damaged" in text for text in lost)
    await store.close()


async def load(store: SqliteStore, record_id: str) -> str:
    """What is told where it cannot be loaded."""
    try:
        await store.load(record_id)
    except StoreError as error:
        return str(error)
    return ""


async def use(file: Path) -> None:
    """Open, read all, write."""
    store = await SqliteStore.open(file)
    try:
        assert len((await store.changes(limit=1000)).records) == 300
        for n in range(300):
            await store.save(f"r{n}", {}, 1, writer="w")
    finally:
        await store.close()


async def test_a_torn_log_keeps_what_is_whole(tmp_path: Path) -> None:
    """A power cut in the midst of a write: the end of the log is garbage."""
    file, copy = tmp_path / "memory.db", tmp_path / "copy.db"
    store = await SqliteStore.open(file)
    for n in range(20):
        await store.save(f"r{n}", {}, 0, writer="w")
    wal = file.with_name("memory.db-wal").read_bytes()
    copy.write_bytes(file.read_bytes())
    copy.with_name("copy.db-wal").write_bytes(wal[:-3000] + b"\xaa" * 1000)
    await store.close()
    again = await SqliteStore.open(copy)
    kept = [record.id for record in (await again.changes()).records]
    assert kept == [f"r{n}" for n in range(len(kept))]
    assert len(kept) in (18, 19)
    assert (await again.save(f"r{len(kept)}", {}, 0, writer="w")).change == len(kept) + 1
    await again.close()


OPEN = """
import asyncio, os, sys
from secondlook.shared.errors import StoreError
from secondlook.shared.memory import SqliteStore

async def main():
    os.chdir(sys.argv[1])
    if os.getuid() == 0:
        os.setuid(65534)  # root may write anywhere
    try:
        store = await SqliteStore.open("memory.db")
        await store.save("a", {}, 0, writer="w")
    except StoreError as error:
        print(error)
        return
    raise SystemExit("it was written")

asyncio.run(main())
"""


@pytest.mark.parametrize("there", [False, True])
async def test_a_folder_that_is_read_only_is_told(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for parent in (folder, *folder.parents[:-1]):
        if parent.stat().st_uid == os.getuid() and "pytest" in str(parent):
            parent.chmod(0o755)
    if there:
        await make(folder / "memory.db", 1)
        (folder / "memory.db").chmod(0o444)
    folder.chmod(0o555)
    try:
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(
                [sys.executable, "-c", OPEN, str(folder)], capture_output=True, check=False
            )
        )
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr.decode()
    assert b"must" in done.stdout
    assert b"writable" in done.stdout


INCREMENT = """
import asyncio, sys
from secondlook.shared.errors import NotFound, VersionConflict
from secondlook.shared.memory import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1])

    async def add():
        version, data = 0, {"n": 0}
        while True:
            try:
                await store.save("counter", {"n": data["n"] + 1}, version, writer="w")
                return
            except VersionConflict as conflict:
                version, data = conflict.actual, conflict.current.data

    async def own(name):
        for n in range(20):
            await store.save(f"{sys.argv[2]}/{name}/{n}", {}, 0, writer="w")

    await asyncio.gather(*(own(n) for n in range(4)), *(add() for _ in range(50)))
    await store.close()

asyncio.run(main())
"""


async def test_two_processes_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"

    async def run(name: str) -> None:
        command = [sys.executable, "-c", INCREMENT, str(file), name]
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(command, capture_output=True, check=False, timeout=100)
        )
        assert done.returncode == 0, done.stderr.decode()

    async with anyio.create_task_group() as tasks:
        for name in ("one", "two"):
            tasks.start_soon(run, name)
    store = await SqliteStore.open(file)
    counter = await store.load("counter")
    assert (counter.data, counter.version) == ({"n": 100}, 100)
    page = await store.changes(limit=1000)
    assert len(page.records) == 161
    assert page.cursor == 260
    await store.close()
