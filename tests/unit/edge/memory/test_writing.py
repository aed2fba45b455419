"""From notes to records in the local store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from secondlook.edge.memory.loading import load_pins, load_recollection
from secondlook.edge.memory.meter import MemoryMeter
from secondlook.edge.memory.notes import Note
from secondlook.edge.memory.settings import MemorySettings
from secondlook.edge.memory.writing import BATCH, NoteWriter
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import NotFound, StoreError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import (
    FalsePositive,
    GateState,
    Look,
    ModelPin,
    ScenePrior,
    TrackVerdict,
)
from secondlook.shared.memory.record import Outcome, Write

pytestmark = pytest.mark.anyio

GATE = "default/gate/gate/8x8"


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(":memory:", clock=ManualClock())
    yield opened
    await opened.close()


def _meter() -> MemoryMeter:
    return MemoryMeter(CollectorRegistry())


def _writer(store: object, meter: MemoryMeter | None = None, **settings: object) -> NoteWriter:
    return NoteWriter(
        store,  # type: ignore[arg-type]
        MemorySettings.model_validate({"device": "here", **settings}),
        ("gate", "site/two"),
        meter or _meter(),
        lambda: None,
    )


def _asked(count: int) -> Note:
    return Note(GateState, "8x8", GateState(asked=count))


def _verdict(at_s: float = 10.0, class_name: str = "car") -> TrackVerdict:
    return TrackVerdict(
        at_s=at_s,
        until_s=at_s + 5,
        frame_width=320,
        frame_height=240,
        box=(1.0, 2.0, 30.0, 40.0),
        look=Look.cut(0, 0, 2, 2, b"abcd", (160, 120)),
        edge_class="person",
        edge_score=0.4,
        model="heavy",
        model_version="1",
        class_name=class_name,
        score=0.9,
        refuted=False,
    )


async def test_counters_add_to_what_stands_and_registers_replace_it(store: SqliteStore) -> None:
    writer = _writer(store)
    for count, at_s in ((1, 10.0), (2, 20.0)):
        writer.note("gate", [_asked(count), Note(TrackVerdict, "t", _verdict(at_s))])
        assert await writer.flush()
    gate = await store.load(GATE)
    assert GateState.of(gate.data).asked == 3
    assert (gate.version, gate.writer, gate.expires_at) == (2, "here", None)
    verdict = await store.load("default/gate/verdict/t")
    assert TrackVerdict.of(verdict.data).at_s == 20.0
    assert verdict.expires_at == pytest.approx(1_700_000_000 + 3600)
    assert writer.waiting == 0


async def test_records_of_other_writers_are_met_with_their_version(store: SqliteStore) -> None:
    writer = _writer(store)
    await store.save(GATE, GateState(asked=5).document(), 0, writer="elsewhere")
    writer.note("gate", [_asked(2)])
    assert await writer.flush()
    assert GateState.of((await store.load(GATE)).data).asked == 7


class Contended(SqliteStore):
    """A store in which somebody else is always a little faster, ``times`` times."""

    times = 0

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        if self.times:
            self.times -= 1
            for write in writes:
                await self.save(
                    write.id,
                    GateState(asked=100).document(),
                    write.expected_version,
                    writer="elsewhere",
                )
        return await super().apply(writes)


@pytest.mark.parametrize(("times", "asked", "lost"), [(2, 101, 0), (99, 100, 1)])
async def test_a_conflict_is_tried_again_a_few_times(times: int, asked: int, lost: int) -> None:
    store = await Contended.open(":memory:")
    assert isinstance(store, Contended)
    store.times = times
    meter = _meter()
    writer = _writer(store, meter)
    writer.note("gate", [_asked(1)])
    assert await writer.flush()
    assert GateState.of((await store.load(GATE)).data).asked == asked
    assert meter.totals.lost == lost
    await store.close()


async def test_a_removal_removes_and_nothing_where_nothing_stands(store: SqliteStore) -> None:
    writer = _writer(store)
    writer.note("gate", [_asked(1)])
    await writer.flush()
    writer.note("gate", [Note(GateState, "8x8", None), Note(GateState, "no", None)])
    assert await writer.flush()
    with pytest.raises(NotFound):
        await store.load(GATE)


async def test_what_a_newer_secondlook_wrote_is_left_alone_and_what_is_damaged_replaced(
    store: SqliteStore,
) -> None:
    meter = _meter()
    writer = _writer(store, meter)
    await store.save(GATE, {"schema": 99, "asked": "many"}, 0, writer="newer")
    await store.save("default/gate/gate/9x9", {"schema": 1, "asked": "many"}, 0, writer="x")
    writer.note("gate", [_asked(1), Note(GateState, "9x9", GateState(asked=1))])
    assert await writer.flush()
    assert (await store.load(GATE)).data["schema"] == 99
    assert GateState.of((await store.load("default/gate/gate/9x9")).data).asked == 1
    assert (meter.totals.lost, meter.totals.written) == (1, 1)


class Full(SqliteStore):
    """A store on a full disk, until it is told otherwise."""

    full = True

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        if self.full:
            raise StoreError("database or disk is full")
        return await super().apply(writes)


async def test_a_store_that_fails_keeps_the_notes_waiting_within_their_limit() -> None:
    store, meter = await Full.open(":memory:"), _meter()
    assert isinstance(store, Full)
    writer = _writer(store, meter, queue=16)
    writer.note("gate", [_asked(1)])
    for _ in range(3):
        assert not await writer.flush()
        writer.note("gate", [_asked(1)])
    assert meter.totals.failures == 3
    for number in range(40):
        writer.note("gate", [Note(GateState, f"{number}x1", GateState(asked=1))])
    assert writer.waiting == 16
    assert meter.totals.dropped == 41 - 16
    store.full = False
    assert await writer.flush()
    assert writer.waiting == 0
    assert GateState.of((await store.load("default/gate/gate/39x1")).data).asked == 1
    await store.close()


async def test_more_than_a_batch_is_written_at_once(store: SqliteStore) -> None:
    meter = _meter()
    writer = _writer(store, meter)
    for camera in ("gate", "site/two"):
        notes = [Note(TrackVerdict, f"t{n}", _verdict()) for n in range(BATCH + 5)]
        writer.note(camera, notes)
    assert await writer.flush()
    assert meter.totals.written == 2 * (BATCH + 5)


async def test_what_is_read_back_is_of_this_camera_and_whole(store: SqliteStore) -> None:
    writer = _writer(store)
    refuted = FalsePositive(**{**_place(_verdict()), "seen": 4})
    prior = ScenePrior(columns=2, rows=1, frames=9, counts={"car": (3, 4)})
    writer.note(
        "gate",
        [
            Note(TrackVerdict, "t1", _verdict()),
            Note(FalsePositive, "f1", refuted),
            _asked(3),
            Note(ScenePrior, "8x8", prior),
        ],
    )
    writer.note("site/two", [Note(TrackVerdict, "t2", _verdict())])
    await writer.flush()
    # Names that begin alike are other cameras.
    await store.save("default/gate2/verdict/t9", _verdict().document(), 0, writer="x")
    found = await load_recollection(store, "gate", 1_700_000_000)
    assert found.verdicts == {"t1": _verdict()}
    assert found.false_positives == {"f1": refuted}
    assert found.gates == {"8x8": GateState(asked=3)}
    assert found.priors == {"8x8": prior}
    assert found.skipped == 0


def _place(verdict: TrackVerdict) -> dict[str, object]:
    fields = verdict.model_dump()
    for name in ("class_name", "score", "refuted", "confirmations", "correction", "embedding"):
        del fields[name]
    return {**fields, "look": verdict.look}


async def test_what_cannot_be_read_is_skipped_and_counted(store: SqliteStore) -> None:
    good = _verdict().document()
    bad = {
        "empty": {},
        "newer": {**good, "schema": 2},
        "typed": {**good, "score": "high"},
        "looks": {**good, "look": {**good["look"], "pixels": "AAAA" * 4000}},
        "inside-out": {**good, "box": [9, 9, 1, 1]},
    }
    for key, data in bad.items():
        await store.save(f"default/gate/verdict/{key}", data, 0, writer="x")
    await store.save("default/gate/verdict/good", good, 0, writer="x")
    await store.save("default/gate/verdict/torn", good, 0, writer="x")
    await store.transact(
        lambda db: db.execute(
            "UPDATE records SET data = ? WHERE id = 'default/gate/verdict/torn'", (b"\xff{",)
        )
    )
    found = await load_recollection(store, "gate", 1_700_000_000)
    assert list(found.verdicts) == ["good"]
    assert found.skipped == len(bad) + 1


async def test_expired_verdicts_are_gone_and_the_newest_are_kept(store: SqliteStore) -> None:
    writer = _writer(store)
    for number in range(300):
        writer.note("gate", [Note(TrackVerdict, f"t{number}", _verdict())])
    await writer.flush()
    found = await load_recollection(store, "gate", 1_700_000_000)
    assert list(found.verdicts)[-1] == "t299"
    assert len(found.verdicts) == 256
    assert (await load_recollection(store, "gate", 1_700_010_000)).verdicts == {}


async def test_a_pin_that_cannot_be_read_counts_as_none(store: SqliteStore) -> None:
    pin = ModelPin(model="big", version="2", at_s=1.0, by="me")
    await store.save("site/two/model/heavy", pin.document(), 0, writer="me")
    await store.save("default/gate/model/heavy", {"schema": 1}, 0, writer="me")
    pins = await load_pins(store, ("gate", "site/two"), 1_700_000_000)
    assert pins.models == {"site/two": "big"}
    assert list(pins.problems) == ["gate"]
