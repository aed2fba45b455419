"""A process that writes is killed with -9: what it acknowledged is there, in order, without gap."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from secondlook.shared.memory import SqliteStore

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, os, sys
from secondlook.shared.errors import NotFound
from secondlook.shared.memory import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1])

    async def write(caller):
        record_id = f"site/cam{caller}/counter"
        try:
            version = (await store.load(record_id)).version
        except NotFound:
            version = 0
        while True:
            record = await store.save(record_id, {"n": version + 1}, version, writer="w")
            version = record.version
            # One write call: a line is there whole or not at all.
            os.write(1, b"%d %d %d\\n" % (caller, version, record.change))

    await asyncio.gather(*(write(caller) for caller in range(8)))

asyncio.run(main())
"""
KILLS = 5
ACKNOWLEDGED = 60
"""How many writes are acknowledged before each kill, at least."""


def write_and_kill(file: Path) -> list[tuple[int, int, int]]:
    """Run a writer until it has acknowledged enough, kill it; all that it acknowledged."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(ACKNOWLEDGED)]
        process.kill()
        lines += process.stdout.read().splitlines()
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
    return [tuple(map(int, line.split())) for line in lines]  # type: ignore[misc]


async def test_what_a_killed_process_acknowledged_is_there(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    versions: dict[int, list[int]] = defaultdict(list)
    changes: list[int] = []
    for _ in range(KILLS):
        acknowledged = await anyio.to_thread.run_sync(write_and_kill, file)
        for caller, version, change in acknowledged:
            versions[caller].append(version)
            changes.append(change)
        store = await SqliteStore.open(file)
        for caller, seen in versions.items():
            record = await store.load(f"site/cam{caller}/counter")
            # At most the one write under way was committed and not told.
            assert record.version - seen[-1] in (0, 1)
            assert record.data == {"n": record.version}
            if record.version > seen[-1]:
                seen.append(record.version)
        page = await store.changes()
        assert len(page.records) == 8
        assert page.cursor >= max(changes)
        counted = await store.read(
            lambda db: db.execute("SELECT bytes, dirty FROM state").fetchone()
        )
        assert counted[1] == 8
        assert counted[0] == await store.read(
            lambda db: db.execute(
                "SELECT sum(2 * length(id) + length(data) + length(writer) + 128) FROM records"
            ).fetchone()[0]
        )
        await store.close()
    assert len(changes) == len(set(changes)) >= KILLS * ACKNOWLEDGED
    for seen in versions.values():
        assert seen == list(range(1, len(seen) + 1))
