"""The checker of histories passes what is right and finds each thing that can go wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.history import (
    TOMBSTONE,
    Operation,
    Recorder,
    RecordingStore,
    digest,
    read_history,
)
from support.history_check import check_history
from support.history_ledger import added, check_ledger, check_replicas, member

from secondlook.shared.errors import NotFound, StoreError, VersionConflict
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.record import Record

R = "site/cam/kind/key"
A, B, C = digest({"v": "a"}), digest({"v": "b"}), digest({"v": "c"})


def did(
    verb: str, start: float, end: float, expected: int = 0, content: str = "", **more: Any
) -> Operation:
    """An operation that ended well; a write became the version after the expected one."""
    fields: dict[str, Any] = {"version": expected + 1, "seen": content, "outcome": "ok", **more}
    return Operation("p", "s", verb, R, expected, content, invoked=start, ended=end, **fields)


def save(start: float, end: float, expected: int, content: str, **more: Any) -> Operation:
    return did("save", start, end, expected, content, **more)


def delete(start: float, end: float, expected: int, **more: Any) -> Operation:
    return did("delete", start, end, expected, TOMBSTONE, **more)


def load(start: float, end: float, version: int, seen: str) -> Operation:
    return did("load", start, end, version=version, seen=seen)


def unknown(operation: Operation) -> Operation:
    return replace(operation, outcome="unknown", ended=float("inf"), version=0, seen="")


def nothing(operation: Operation) -> Operation:
    return replace(operation, outcome="absent", version=0, seen="")


def conflict(operation: Operation, version: int, seen: str) -> Operation:
    return replace(operation, outcome="conflict", version=version, seen=seen)


def stands(version: int, value: str, deleted: bool = False) -> dict[str, Record]:
    data = {} if deleted else {"v": value}
    return {R: Record(R, data, version, 1, 0.0, "w", deleted=deleted)}


def kinds(operations: list[Operation], final: dict[str, Record] | None = None) -> set[str]:
    return {problem.kind for problem in check_history(operations, final)}


GOOD: dict[str, tuple[list[Operation], dict[str, Record] | None]] = {
    "a chain": ([save(0, 1, 0, A), save(2, 3, 1, B), load(4, 5, 2, B)], stands(2, "b")),
    "a deletion and a new beginning": (
        [
            save(0, 1, 0, A),
            delete(2, 3, 1),
            nothing(load(4, 5, 0, "")),
            save(6, 7, 0, B, version=3),
        ],
        stands(3, "b"),
    ),
    "of two writers one wins": (
        [save(0, 5, 0, A), save(1, 4, 1, B), conflict(save(2, 6, 1, C), 2, B)],
        stands(2, "b"),
    ),
    "a read beside a write sees either": (
        [save(0, 1, 0, A), save(2, 6, 1, B), load(3, 4, 1, A), load(4.5, 7, 2, B)],
        stands(2, "b"),
    ),
    "an unknown write that happened": (
        [save(0, 1, 0, A), unknown(save(2, 3, 1, B))],
        stands(2, "b"),
    ),
    "an unknown write that did not": (
        [save(0, 1, 0, A), unknown(save(2, 3, 1, B))],
        stands(1, "a"),
    ),
    "an unknown deletion, seen": (
        [save(0, 1, 0, A), unknown(delete(2, 3, 1)), nothing(load(4, 5, 0, ""))],
        stands(2, "", deleted=True),
    ),
    "a repetition answered with what stands": (
        [
            save(0, 1, 0, A),
            unknown(save(2, 3, 1, B, origin="r:1")),
            save(4, 5, 2, C),
            save(6, 7, 1, B, origin="r:1", version=3, seen=C, repeat=True),
        ],
        stands(3, "c"),
    ),
    "a repeated creation after a deletion": (
        [
            unknown(save(0, 1, 0, A, origin="r:1")),
            delete(2, 3, 1),
            save(4, 5, 0, A, origin="r:1", version=2, seen=TOMBSTONE, repeat=True),
        ],
        stands(2, "", deleted=True),
    ),
}

BAD: dict[str, tuple[str, list[Operation], dict[str, Record] | None]] = {
    "lost update": ("version", [save(0, 1, 0, A), save(2, 5, 1, B), save(3, 6, 1, C)], None),
    "lost acknowledged write at the end": (
        "lost",
        [save(0, 1, 0, A), save(2, 3, 1, B)],
        stands(1, "a"),
    ),
    "lost record": ("lost", [save(0, 1, 0, A)], {}),
    "an acknowledged repetition that is nowhere": (
        "lost",
        [save(0, 1, 0, A, origin="r:1", version=1, seen=B, repeat=True), save(0, 2, 0, B)],
        stands(1, "b"),
    ),
    "gap": ("gap", [save(0, 1, 0, A), save(2, 3, 2, B)], stands(3, "b")),
    "gap seen only in the end": ("gap", [save(0, 1, 0, A)], stands(2, "b")),
    "content nobody wrote": ("version", [save(0, 1, 0, A)], stands(1, "b")),
    "content nobody wrote, in a gap": (
        "gap",
        [save(0, 1, 0, A), unknown(save(2, 3, 1, B))],
        stands(2, "c"),
    ),
    "version grows by two": ("blind", [save(0, 1, 0, A), save(2, 3, 1, B, version=3)], None),
    "count starts anew": (
        "version",
        [save(0, 1, 0, A), delete(2, 3, 1), save(4, 5, 0, B, version=1)],
        None,
    ),
    "created over what stands": ("blind", [save(0, 1, 0, A), save(2, 3, 0, B, version=2)], None),
    "stale read": ("stale", [save(0, 1, 0, A), save(2, 3, 1, B), load(4, 5, 1, A)], None),
    "stale conflict": (
        "stale",
        [save(0, 1, 0, A), save(2, 3, 1, B), conflict(save(4, 5, 2, C), 1, A)],
        None,
    ),
    "going back between two readers": (
        "stale",
        [save(0, 1, 0, A), unknown(save(2, 3, 1, B)), load(4, 5, 2, B), load(6, 7, 1, A)],
        None,
    ),
    "nothing where something stands": (
        "absent",
        [save(0, 1, 0, A), nothing(load(2, 3, 0, ""))],
        None,
    ),
    "resurrected": ("resurrected", [save(0, 1, 0, A), delete(2, 3, 1), save(4, 5, 2, B)], None),
    "a tombstone that is gone": ("version", [save(0, 1, 0, A), delete(2, 3, 1)], stands(2, "a")),
    "written twice": (
        "twice",
        [
            save(0, 1, 0, A, origin="r:1"),
            delete(2, 3, 1),
            save(4, 5, 0, A, origin="r:1", version=3),
        ],
        None,
    ),
    "a late duplicate that came back": (
        "gap",
        [unknown(save(0, 1, 0, A, origin="r:1")), save(0, 2, 0, A, origin="r:1"), delete(2, 3, 1)],
        stands(3, "a"),
    ),
    "refused the second time, and yet written the first time": (
        "gap",
        [
            save(0, 1, 0, A),
            unknown(save(2, 3, 1, B, origin="r:1")),
            conflict(save(4, 5, 1, B, origin="r:1"), 2, B),
        ],
        None,
    ),
    "seen before it was asked for": ("future", [load(0, 1, 1, A), save(2, 3, 0, A)], None),
    "a conflict with what was expected": (
        "spurious",
        [save(0, 1, 0, A), conflict(save(2, 3, 1, B), 1, A)],
        None,
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_right_history_passes(name: str) -> None:
    operations, final = GOOD[name]
    assert check_history(operations, final) == []


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_history_is_told(name: str) -> None:
    kind, operations, final = BAD[name]
    assert kind in kinds(operations, final)


def test_holes_are_forgiven_where_not_all_writers_are_known() -> None:
    operations = [save(0, 1, 0, A), save(2, 3, 2, B)]
    assert check_history(operations, stands(3, "b"), complete=False) == []


def add(name: str, stamp: float, outcome: str = "ok") -> Operation:
    return Operation("p", "s", "add", R, content=name, outcome=outcome, stamp=stamp)


def ledger(count: int, *members: str, state: tuple[str, float]) -> dict[str, Record]:
    said = {"value": state[0], "stamp": state[1]}
    data = {"count": count, "members": list(members), "state": said}
    return {R: Record(R, data, 1, 1, 0.0, "w")}


ONE, TWO = member("a", 1), member("b", 2)
BOTH = [add(ONE, 5.0), add(TWO, 6.0)]
PERHAPS = [add(ONE, 5.0), add(TWO, 6.0, "unknown")]


@pytest.mark.parametrize(
    ("operations", "final"),
    [
        (BOTH, ledger(3, ONE, TWO, state=(TWO, 6.0))),
        (PERHAPS, ledger(3, TWO, ONE, state=(TWO, 6.0))),
        (PERHAPS, ledger(1, ONE, state=(ONE, 5.0))),
        ([add(ONE, 5.0, "unknown")], {}),
    ],
)
def test_a_ledger_that_adds_up_passes(
    operations: list[Operation], final: dict[str, Record]
) -> None:
    assert check_ledger(operations, final) == []


@pytest.mark.parametrize(
    ("kind", "operations", "final"),
    [
        ("lost", BOTH, ledger(1, ONE, state=(TWO, 6.0))),
        ("lost", BOTH, {}),
        ("invented", [add(ONE, 5.0)], ledger(3, ONE, TWO, state=(ONE, 5.0))),
        ("count", BOTH, ledger(5, ONE, TWO, state=(TWO, 6.0))),
        ("count", BOTH, ledger(2, ONE, TWO, state=(TWO, 6.0))),
        ("count", PERHAPS, ledger(3, ONE, state=(ONE, 5.0))),
        ("doubled", PERHAPS, ledger(1, ONE, ONE, state=(ONE, 5.0))),
        ("register", BOTH, ledger(3, ONE, TWO, state=(ONE, 5.0))),
        ("register", BOTH, ledger(3, ONE, TWO, state=(ONE, 7.0))),
        ("register", BOTH, ledger(3, ONE, TWO, state=("c", 7.0))),
    ],
)
def test_a_ledger_that_does_not_add_up_is_told(
    kind: str, operations: list[Operation], final: dict[str, Record]
) -> None:
    assert kind in {problem.kind for problem in check_ledger(operations, final)}


def test_adding_is_idempotent_and_keeps_the_newest_register() -> None:
    data = added(added({}, TWO, 6.0), ONE, 5.0)
    assert data == {
        "count": 3,
        "members": [TWO, ONE],
        "state": {"value": TWO, "stamp": 6.0},
    }
    assert added(data, ONE, 9.0) == data


def test_replicas_that_differ_are_told() -> None:
    cloud = stands(2, "a")
    assert check_replicas(cloud, {"edge": stands(7, "a")}) == []
    assert check_replicas({}, {"edge": stands(7, "", deleted=True)}) == []
    for other in (stands(2, "b"), stands(2, "", deleted=True), {}):
        assert [p.kind for p in check_replicas(cloud, {"edge": other})] == ["diverged"]


class Flaky:
    """Fails some calls, before or after they had their effect."""

    def __init__(self, store: SqliteStore, dice: random.Random) -> None:
        self._store = store
        self._dice = dice

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._dice.random() < 0.1:
                raise StoreError("before")
            answer = await real(*args, **kwargs)
            if self._dice.random() < 0.1:
                raise StoreError("after")
            return answer

        return call


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(3))
async def test_a_recorded_run_passes_and_its_forgeries_do_not(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    real = await SqliteStore.open(":memory:")

    async def step(store: RecordingStore, name: str, number: int, version: int) -> int:
        try:
            if version and dice.random() < 0.2:
                await store.delete(R, version, writer=name)
            else:
                await store.save(R, {"by": name, "n": number}, version, writer=name)
            return (await store.load(R)).version
        except (NotFound, StoreError):
            return 0
        except VersionConflict as lost:
            return lost.actual

    async def write(name: str) -> None:
        with Recorder(tmp_path / f"{name}.history", name) as recorder:
            store = RecordingStore(Flaky(real, dice), recorder, "s")  # type: ignore[arg-type]
            version = 0
            for number in range(60):
                version = await step(store, name, number, version)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(write, f"w{number}")
    final = {record.id: record for record in (await real.changes()).records}
    await real.close()
    history = read_history(tmp_path)
    assert len(history) > 200
    assert {o.outcome for o in history} == {"ok", "conflict", "absent", "unknown"}
    assert check_history(history, final) == []

    written = [o for o in history if o.verb == "save" and o.outcome == "ok"]
    # A store that forgets its newest writes, or lets one answer go to two writers.
    forgotten = {R: replace(final[R], version=written[-1].version - 1)}
    assert "lost" in {p.kind for p in check_history(history, forgotten)}
    chosen = dice.choice(written)
    twin = replace(chosen, process="thief", content="other", seen="other")
    assert "version" in {p.kind for p in check_history([*history, twin], final)}
    hidden = [o for o in history if o.version != chosen.version]
    hidden = [
        replace(o, outcome="refused", version=0) if o.outcome == "unknown" else o for o in hidden
    ]
    assert "gap" in {p.kind for p in check_history(hidden, final)}


def test_a_history_may_be_read_while_it_grows(tmp_path: Path) -> None:
    with Recorder(tmp_path / "w.history", "w") as recorder:
        recorder.end(recorder.invoke("s", "load", R), "absent")
        recorder.invoke("s", "load", R)
    (whole,) = tmp_path.iterdir()
    whole.write_bytes(whole.read_bytes()[:-9])
    assert [operation.outcome for operation in read_history(tmp_path)] == ["absent"]
    whole.write_bytes(b"")
    assert read_history(tmp_path) == []
