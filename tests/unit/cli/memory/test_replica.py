"""The memory of an edge under the command: what waits, what a person must decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.replication import Replicator, SqliteReplica

Memory = Callable[..., tuple[int, str, str]]
Put = Callable[..., dict[str, Any]]

NOTE = "yard/gate/note/1"
CLOUD = ("--store", "sqlite:///cloud.db")


@pytest.fixture
def sync(tmp_path: Path) -> Callable[[], None]:
    """One pass between ``memory.db``, the edge's, and ``cloud.db``."""

    async def work() -> None:
        edge = await SqliteStore.open(tmp_path / "memory.db")
        cloud = await SqliteStore.open(tmp_path / "cloud.db")
        await Replicator(await SqliteReplica.attach(edge), cloud, ("",)).sync()
        await edge.close()
        await cloud.close()

    return lambda: anyio.run(work)


@pytest.fixture
def undecided(memory: Memory, put: Put, sync: Callable[[], None]) -> None:
    """Edge and cloud have changed one field of one note."""
    put(NOTE, {"text": "old"})
    sync()
    put(NOTE, {"text": "edge"}, "--expect", "1")
    put(NOTE, {"text": "cloud"}, "--expect", "1", *CLOUD)
    sync()


def replica(memory: Memory) -> Any:
    return json.loads(memory("stats", "--json")[1])["replica"]


def test_a_plain_memory_is_no_replica_and_does_not_become_one(memory: Memory, put: Put) -> None:
    put(NOTE, {})
    for _ in range(2):
        assert replica(memory) is None
        code, _, err = memory("decide")
        assert code == 2
        assert "not the replica of an edge" in err


def test_stats_tell_what_waits(memory: Memory, put: Put, sync: Callable[[], None]) -> None:
    put(NOTE, {})
    sync()
    assert replica(memory)["waiting"] == 0
    put("yard/gate/note/2", {})
    assert replica(memory)["waiting"] == 1
    assert "1 waiting to be sent, of these 0 undecided" in memory("stats")[1]
    assert memory("decide")[:2] == (0, "nothing is held back\n")


def test_a_cloud_that_counts_anew_gets_what_only_the_edge_knew(
    memory: Memory, put: Put, sync: Callable[[], None], tmp_path: Path
) -> None:
    """The procedure of `docs/guides/memory.md`."""
    for number in range(5):
        put(f"yard/gate/note/{number}", {"n": number})
    sync()
    assert memory("export", "cloud.jsonl", *CLOUD)[0] == 0
    put("yard/gate/note/5", {"n": 5})
    sync()
    put("yard/gate/note/6", {"n": 6})

    # The cloud is lost, and comes back from its export; the edge has read further than that.
    for name in ("cloud.db", "cloud.db-wal", "cloud.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert memory("import", "cloud.jsonl", *CLOUD)[0] == 0
    put("yard/gate/note/0", {"n": "changed in the cloud"}, "--expect", "1", *CLOUD)

    assert memory("export", "edge.jsonl")[0] == 0
    (tmp_path / "memory.db").rename(tmp_path / "old.db")
    sync()
    assert memory("import", "edge.jsonl", "--on-conflict", "skip")[0] == 0
    sync()
    for store in ((), CLOUD):
        records = json.loads(memory("changes", "--json", *store)[1])["records"]
        found = {record["id"][-1]: record["data"]["n"] for record in records}
        assert found == {"0": "changed in the cloud", **{str(n): n for n in range(1, 7)}}


@pytest.mark.usefixtures("undecided")
def test_both_sides_are_shown(memory: Memory) -> None:
    assert replica(memory)["undecided"] == 1
    code, out, _ = memory("decide", NOTE)
    assert code == 0
    assert out.splitlines()[1:] == [
        'before  {"text":"old"}',
        'ours    {"text":"edge"}',
        'theirs  {"text":"cloud"}',
    ]
    (listed,) = json.loads(memory("decide", "--json")[1])
    assert (listed["id"], listed["undecided"]) == (NOTE, True)
    assert NOTE in memory("decide")[1]


@pytest.mark.usefixtures("undecided")
@pytest.mark.parametrize(
    ("how", "text"),
    [
        (("--take", "ours"), "edge"),
        (("--take", "theirs"), "cloud"),
        (('{"text": "both"}',), "both"),
    ],
)
def test_a_person_decides_and_both_sides_agree(
    how: tuple[str, ...], text: str, memory: Memory, sync: Callable[[], None]
) -> None:
    assert memory("decide", NOTE, *how)[:2] == (0, f"{NOTE}: decided\n")
    sync()
    for store in ((), CLOUD):
        assert json.loads(memory("get", NOTE, "--json", *store)[1])["data"] == {"text": text}
    assert replica(memory)["undecided"] == 0
    assert memory("decide", NOTE, *how)[0] == 1


@pytest.mark.usefixtures("undecided")
@pytest.mark.parametrize(
    "arguments",
    [(NOTE, "{}", "--take", "ours"), ("--take", "ours"), (NOTE, "{"), (NOTE, "--take", "mine")],
)
def test_wrong_use_decides_nothing(arguments: tuple[str, ...], memory: Memory) -> None:
    assert memory("decide", *arguments)[0] == 2
    assert replica(memory)["undecided"] == 1
