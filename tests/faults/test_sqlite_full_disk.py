"""The disk is full: a clear error, earlier writes intact, and it goes on when there is space."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from secondlook.shared.errors import StoreError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.record import Record, Write

pytestmark = pytest.mark.anyio

BIG = {"x": "y" * 20_000}


async def set_pages(store: SqliteStore, more: int) -> None:
    """Let the file grow by so many pages (of 4096 bytes) only."""

    def work(db: sqlite3.Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + more}")

    await store.transact(work)


async def fill(store: SqliteStore, acknowledged: list[Record]) -> None:
    """Save without end; what was acknowledged is appended."""
    while True:
        acknowledged.append(await store.save(f"big{len(acknowledged)}", BIG, 0, writer="w"))


@pytest.mark.parametrize("where", ["file", ":memory:"])
async def test_no_page_can_be_had(tmp_path: Path, where: str) -> None:
    store = await SqliteStore.open(tmp_path / "memory.db" if where == "file" else where)
    await set_pages(store, 30)
    acknowledged: list[Record] = []
    with pytest.raises(StoreError, match=r"full \(free space"):
        await fill(store, acknowledged)
    assert len(acknowledged) > 1
    before = await store.changes()
    assert before.records == tuple(acknowledged)
    # Many at once: each that does not fit fails, and none is there in part.
    outcomes: dict[str, Record | StoreError] = {}

    async def save(record_id: str, size: int) -> None:
        try:
            outcomes[record_id] = await store.save(record_id, {"x": "y" * size}, 0, writer="w")
        except StoreError as failed:
            outcomes[record_id] = failed

    async with anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(save, f"many{n}", 50_000)
    assert all(isinstance(outcome, StoreError) for outcome in outcomes.values())
    with pytest.raises(StoreError):
        await store.apply([Write(f"batch{n}", BIG, 0, "w") for n in range(3)])
    assert await store.changes() == before
    # Space is back.
    await set_pages(store, 1000)
    more = await store.save("more", BIG, 0, writer="w")
    assert (await store.changes()).records == (*acknowledged, more)
    await store.close()


WRITER = """
import asyncio, json, resource, sys
from secondlook.shared.errors import StoreError
from secondlook.shared.memory import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1])
    await store.save("first", {}, 0, writer="w")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
    acknowledged, errors = ["first"], []

    async def fill(caller):
        for n in range(100):
            record_id = f"{caller}/{n}"
            try:
                await store.save(record_id, {"x": "y" * 2000}, 0, writer="w")
            except StoreError as error:
                errors.append([error.message, error.remedy])
                return
            acknowledged.append(record_id)

    await asyncio.gather(*(fill(caller) for caller in range(6)))
    readable = [(await store.load(record_id)).id for record_id in acknowledged]
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    before = (await store.changes(limit=1000)).records
    again = await store.save("again", {"x": "y" * 2000}, 0, writer="w")
    await store.close()
    print(json.dumps({
        "acknowledged": acknowledged, "errors": errors, "readable": readable,
        "before": [record.id for record in before], "again": again.id,
    }))

asyncio.run(main())
"""


async def test_the_system_refuses_to_write(tmp_path: Path) -> None:
    """A limit on the size of files: the write-ahead log cannot grow, as on a full disk."""
    file = tmp_path / "memory.db"
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(
            [sys.executable, "-c", WRITER, str(file)], capture_output=True, check=False, timeout=100
        )
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert len(told["acknowledged"]) > 5
    assert len(told["errors"]) == 6
    assert all("what was acknowledged is intact" in remedy for _, remedy in told["errors"])
    assert told["readable"] == told["acknowledged"]
    # What failed is not there, also not in part.
    assert set(told["before"]) == set(told["acknowledged"])
    store = await SqliteStore.open(file)
    kept = (await store.changes(limit=1000)).records
    assert [record.id for record in kept] == [*told["before"], "again"]
    await store.close()
