"""Export and import against a real store: whole, repeated, interrupted, in conflict."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread
import pytest

from secondlook.cli.memory.archive import Header, Line, Reader, record_line
from secondlook.cli.memory.exporting import export_records
from secondlook.cli.memory.importing import Importer, OnConflict, Report
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import InvalidInput, Overloaded, StoreError, VersionConflict
from secondlook.shared.memory import Changes, Outcome, Record, SqliteStore, Write
from secondlook.shared.memory.kinds import GateState, context_id
from secondlook.shared.memory.rules import MAX_BATCH

pytestmark = pytest.mark.anyio

GATE = context_id("yard/gate", GateState, "state")


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(":memory:")
    yield opened
    await opened.close()


def nothing(_: int) -> None:
    """Nobody watches the progress."""


def file_of(*records: Record, file_id: str = "f00d") -> BinaryIO:
    header = Header(file_id, "", 0, 0, len(records), 0.0)
    raw = b"".join([header.line(), *(record_line(record) for record in records)])
    return io.BufferedReader(io.BytesIO(raw))  # type: ignore[arg-type]


def note(number: int, **data: Any) -> Record:
    return Record(f"yard/gate/note/{number}", data, 1, number, 0.0, "w")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def take(
    store: Any,
    file: BinaryIO,
    on_conflict: OnConflict = OnConflict.FAIL,
    clock: ManualClock | None = None,
) -> Report:
    importer = Importer(store, on_conflict, "importer", clock=clock or ManualClock())
    await importer.run(await anyio.to_thread.run_sync(Reader, file, "file"), nothing)
    return importer.report


async def everything(store: SqliteStore) -> dict[str, tuple[int, dict[str, Any] | None]]:
    page = await store.changes(limit=1000)
    assert not page.more
    return {r.id: (r.version, None if r.deleted else dict(r.data)) for r in page.records}


async def test_what_is_exported_can_be_imported_and_again(
    store: SqliteStore, tmp_path: Path
) -> None:
    for number in range(600):
        await store.save(f"yard/gate/note/{number}", {"n": number}, 0, writer="w")
    await store.save("yard/gate/note/0", {"n": "ä"}, 1, writer="w")
    await store.delete("yard/gate/note/1", 1, writer="w")
    for name in ("all.jsonl", "all.jsonl.gz"):
        header = await export_records(store, str(tmp_path / name), "", 0, nothing)
        assert header.records == 600
        assert header.cursor == 602
        copy = await SqliteStore.open(tmp_path / f"{name}.db")
        for expected in ("created", "same"):
            with (tmp_path / name).open("rb") as file:
                report = await take(copy, file)
            assert report.lines == 600
            assert getattr(report, expected) == (599 if expected == "created" else 600)
        found = await everything(copy)
        assert len(found) == 599
        assert found["yard/gate/note/0"] == (1, {"n": "ä"})
        await copy.close()
    assert not [name for name in names(tmp_path) if name.endswith(".part")]


async def test_an_export_holds_only_what_was_asked_for(store: SqliteStore, tmp_path: Path) -> None:
    for name in ("yard/gate/note/1", "yard/lane/note/1", "yard/gate/note/2"):
        await store.save(name, {}, 0, writer="w")
    target = tmp_path / "some.jsonl"
    header = await export_records(store, str(target), "yard/gate/", 1, nothing)
    with target.open("rb") as file:
        assert [line.id for line in Reader(file, "file").lines()] == ["yard/gate/note/2"]
    assert (header.prefix, header.since, header.cursor, header.records) == ("yard/gate/", 1, 3, 1)


class _Restless:
    """A store that is written to behind each page that is read from it."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._writes = 3

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        page = await self._store.changes(prefix, since, 2)
        if self._writes:
            self._writes -= 1
            first = await self._store.load("yard/gate/note/0")
            await self._store.save(first.id, {"n": "new"}, first.version, writer="w")
            page = Changes(page.records, page.cursor, True)
        return page


async def test_a_record_that_changes_meanwhile_is_exported_once(
    store: SqliteStore, tmp_path: Path
) -> None:
    for number in range(5):
        await store.save(f"yard/gate/note/{number}", {"n": number}, 0, writer="w")
    target = tmp_path / "all.jsonl"
    header = await export_records(_Restless(store), str(target), "", 0, nothing)  # type: ignore[arg-type]
    with target.open("rb") as file:
        lines = list(Reader(file, "file").lines())
    assert header.records == len(lines) == 5
    assert {line.id: line.data for line in lines}["yard/gate/note/0"] == {"n": "new"}


async def test_a_failed_export_leaves_the_old_file(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "all.jsonl"
    target.write_text("old")

    class Broken:
        async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
            raise StoreError("gone")

    with pytest.raises(StoreError, match="gone"):
        await export_records(Broken(), str(target), "", 0, nothing)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="create the folder"):
        await export_records(store, str(tmp_path / "no" / "x.jsonl"), "", 0, nothing)
    with pytest.raises(StoreError, match="export to /proc/all"):
        await export_records(store, "/proc/all.jsonl", "", 0, nothing)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["all.jsonl"]


@pytest.mark.parametrize(
    ("on_conflict", "counted", "version", "data"),
    [
        (OnConflict.SKIP, "skipped", 1, {"asked": 5, "schema": 1}),
        (OnConflict.REPLACE, "replaced", 2, {"asked": 7, "missed": 1, "schema": 1}),
        (OnConflict.MERGE, "merged", 2, {"asked": 12, "missed": 1, "schema": 1}),
    ],
)
async def test_what_stands_is_treated_as_told_and_only_once(
    on_conflict: OnConflict,
    counted: str,
    version: int,
    data: dict[str, Any],
    store: SqliteStore,
) -> None:
    await store.save(GATE, {"schema": 1, "asked": 5}, 0, writer="w")
    record = Record(GATE, {"schema": 1, "asked": 7, "missed": 1}, 9, 9, 0.0, "w")
    report = await take(store, file_of(record), on_conflict)
    assert dict(report.counts())[counted] == report.lines == 1
    assert await everything(store) == {GATE: (version, data)}
    # Again, also after another writer: no second effect.
    if on_conflict is not OnConflict.SKIP:
        await store.save(GATE, {"schema": 1, "asked": 100}, version, writer="other")
        report = await take(store, file_of(record), on_conflict)
        assert report.same == report.lines == 1
        assert await everything(store) == {GATE: (version + 1, {"schema": 1, "asked": 100})}


async def test_fail_stops_with_the_line_and_overwrites_nothing(store: SqliteStore) -> None:
    await store.save("yard/gate/note/2", {"n": "mine"}, 0, writer="w")
    with pytest.raises(VersionConflict, match="line 3: yard/gate/note/2: expected version 0"):
        await take(store, file_of(note(1, n=1), note(2, n=2)))
    assert await everything(store) == {
        "yard/gate/note/1": (1, {"n": 1}),
        "yard/gate/note/2": (1, {"n": "mine"}),
    }


async def test_what_no_rule_unites_is_left_and_listed(store: SqliteStore) -> None:
    await store.save("yard/gate/note/1", {"n": "mine", "a": 1}, 0, writer="w")
    report = await take(store, file_of(note(1, n="yours"), note(2, n=2)), OnConflict.MERGE)
    assert report.created == 1
    assert report.as_document()["undecided"] == [
        {"line": 2, "id": "yard/gate/note/1", "field": "n"}
    ]
    assert (await store.load("yard/gate/note/1")).data == {"n": "mine", "a": 1}


@pytest.mark.parametrize(
    ("on_conflict", "counted", "left"),
    [
        (OnConflict.SKIP, "skipped", (1, {"n": 1})),
        (OnConflict.MERGE, "skipped", (1, {"n": 1})),
        (OnConflict.REPLACE, "deleted", (2, None)),
    ],
)
async def test_deletions_delete_under_replace_alone(
    on_conflict: OnConflict, counted: str, left: Any, store: SqliteStore
) -> None:
    await store.save("yard/gate/note/1", {"n": 1}, 0, writer="w")
    gone = [Record(f"yard/gate/note/{n}", {}, 2, n, 0.0, "w", deleted=True) for n in (1, 2)]
    report = await take(store, file_of(*gone), on_conflict)
    assert dict(report.counts()) | {counted: 1, "same": 1} == dict(report.counts())
    assert await everything(store) == {"yard/gate/note/1": left}


async def test_time_to_live_goes_on_and_what_is_over_stays_away(store: SqliteStore) -> None:
    clock = ManualClock()
    now = clock.wall()
    living = Record("yard/gate/note/1", {}, 1, 1, now, "w", expires_at=now + 50)
    over = Record("yard/gate/note/2", {}, 1, 2, now, "w", expires_at=now)
    store_of_clock = await SqliteStore.open(":memory:", clock=clock)
    report = await take(store_of_clock, file_of(living, over), clock=clock)
    assert (report.created, report.expired) == (1, 1)
    assert (await store_of_clock.load(living.id)).expires_at == pytest.approx(now + 50)
    await store_of_clock.close()


async def test_what_comes_before_a_bad_line_is_imported(store: SqliteStore) -> None:
    wrong = Record(GATE, {"schema": 1, "asked": -1}, 1, 1, 0.0, "w")
    file = file_of(*(note(n, n=n) for n in range(300)), wrong, note(300, n=300))
    with pytest.raises(InvalidInput, match="line 302: gate: asked") as told:
        await take(store, file)
    assert "--raw" in told.value.remedy
    found = await everything(store)
    assert len(found) == 300
    assert GATE not in found


async def test_raw_takes_what_no_reader_would(store: SqliteStore) -> None:
    wrong = Record(GATE, {"schema": 99}, 1, 1, 0.0, "w")
    importer = Importer(store, OnConflict.FAIL, "importer", raw=True)
    await importer.run(Reader(file_of(wrong), "file"), nothing)
    assert (await store.load(GATE)).data == {"schema": 99}


class _Lossy:
    """Loses some answers: what was asked is done, and nobody is told."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._calls = 0
        self.largest = 0

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        self.largest = max(self.largest, len(writes))
        outcomes = await self._store.apply(writes)
        self._calls += 1
        if self._calls in (1, 3, 6):
            raise StoreError("the answer was lost")
        return outcomes


async def test_an_interrupted_import_goes_on_when_it_is_begun_again(store: SqliteStore) -> None:
    await store.save("yard/gate/note/3", {"n": "mine"}, 0, writer="w")
    lossy = _Lossy(store)
    records = [note(n, n=n) for n in range(700)]
    failures = 0
    for _ in range(20):
        try:
            await take(lossy, file_of(*records), OnConflict.REPLACE)
        except StoreError:  # noqa: PERF203 - that is what is counted
            failures += 1
        else:
            break
    assert failures == 3
    assert lossy.largest == MAX_BATCH
    found = await everything(store)
    assert found.pop("yard/gate/note/3") == (2, {"n": 3})
    assert found == {f"yard/gate/note/{n}": (1, {"n": n}) for n in range(700) if n != 3}


async def test_a_full_store_is_told_with_the_line() -> None:
    class Full:
        async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
            return [Outcome(error=Overloaded("no room")) for _ in writes]

    with pytest.raises(Overloaded, match="line 2: no room"):
        await take(Full(), file_of(note(1)))


async def test_other_writers_are_met_a_bounded_number_of_times(store: SqliteStore) -> None:
    standing = await store.save("yard/gate/note/1", {"n": 1}, 0, writer="w")
    calls = 0

    class Contested:
        async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
            nonlocal calls
            calls += 1
            write = writes[0]
            return [Outcome(error=VersionConflict(write.id, write.expected_version, 1, standing))]

    with pytest.raises(VersionConflict, match="line 2: "):
        await take(Contested(), file_of(note(1, n=2)), OnConflict.REPLACE)
    assert calls == 8


def test_a_line_knows_its_size() -> None:
    raw = file_of(note(1, text="x" * 1000))
    (line,) = Reader(raw, "file").lines()
    assert isinstance(line, Line)
    assert line.size > 1000
