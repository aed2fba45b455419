"""Records to bytes and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.decisions import a_frame, header
from support.edge import NAMES

from secondlook.edge.control.allowance import Allowance, Infeasible
from secondlook.edge.decisions import (
    FrameRecord,
    MissedObject,
    PictureRecord,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.edge.decisions.packing import head_of, pack, unpack
from secondlook.edge.decisions.records import MAX_CANDIDATES, logged
from secondlook.edge.gate import Choice
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Purpose


def again(record: FrameRecord) -> FrameRecord:
    found = unpack(pack(record, NAMES), header())
    assert isinstance(found, FrameRecord)
    return found


def test_a_frame_comes_back_as_it_was() -> None:
    record = a_frame(7, 5)
    found = again(record)
    for name in ("boxes", "track_ids", "scores", "right", "loss", "verdict_age_s", "in_flight"):
        before, after = getattr(record.evidence, name), getattr(found.evidence, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)
    assert found.evidence.names == record.evidence.names
    assert found.evidence.background_age_s == record.evidence.background_age_s
    assert found.choice == record.choice
    assert found.regions == record.regions
    assert found.terms.allowance == record.terms.allowance
    np.testing.assert_array_equal(found.terms.bytes_of(found.evidence.boxes), found.candidate_bytes)
    np.testing.assert_array_equal(found.candidate_bytes, record.candidate_bytes)
    assert (found.captured_at, found.captured_s, found.time_s) == (
        record.captured_at, record.captured_s, record.time_s,
    )  # fmt: skip


def test_what_is_unusual_comes_back_too() -> None:
    record = a_frame(7, 3)
    slo = Infeasible("bytes", 5000.0, 3000.0)
    allowance = Allowance(1e-4, 0.1, 5000.0, 2.0, 9000.0, 4.0, True, ("2 KB/s",), slo)
    terms = replace(record.terms, allowance=allowance, certified_loss=0.25, audit_rate=0.5)
    evidence = replace(
        record.evidence,
        names=("zebra", "", "zebra"),
        reasons=("", "something moves there", ""),
        track_ids=np.array([1, -1, 2**40], np.int64),
        background_age_s=None,
        background_in_flight=True,
    )
    choice = Choice(
        (1,), ("something moves there",), False, Purpose.REFRESH, ("a", "b"), 0.25, (0, 2)
    )
    found = again(replace(record, evidence=evidence, terms=terms, choice=choice))
    assert found.evidence.names == evidence.names
    assert found.evidence.reasons == evidence.reasons
    assert found.evidence.track_ids.tolist() == [1, -1, 2**40]
    assert found.evidence.background_age_s is None
    assert found.evidence.background_in_flight
    assert found.terms.allowance == allowance
    assert found.terms.certified_loss == 0.25
    assert found.choice == choice


def test_numbers_that_are_none_are_kept_as_such() -> None:
    record = a_frame(1, 2)
    nothing = np.array([np.nan, 0.5])
    evidence = replace(record.evidence, loss=nothing, boxes=record.evidence.boxes * np.nan)
    found = again(replace(record, evidence=evidence))
    np.testing.assert_array_equal(found.evidence.loss, nothing)
    assert np.isfinite(found.evidence.boxes).all()


def test_the_gate_is_given_what_the_log_keeps() -> None:
    record = a_frame(3, 4)
    rough = replace(
        record.evidence,
        loss=np.array([1 / 3, 1e-9, 0.12000001, np.nan]),
        verdict_age_s=np.array([1e9, np.nan, 0.25, 3.0001]),
    )
    given = logged(rough)
    assert given.loss[0] == pytest.approx(1 / 3, rel=5e-4)
    assert np.isfinite(given.verdict_age_s[0])
    assert np.isnan(given.verdict_age_s[1])
    found = again(replace(record, evidence=given))
    np.testing.assert_array_equal(found.evidence.loss, given.loss)
    np.testing.assert_array_equal(found.evidence.verdict_age_s, given.verdict_age_s)


def test_the_head_of_a_frame_is_read_alone() -> None:
    record = a_frame(9)
    head = head_of(pack(record, NAMES))
    assert head is not None
    assert (head.sequence, head.captured_at, head.asked) == (9, record.captured_at, record.asked)
    assert head_of(pack(WayRecord(1, "s-1", "sent"))) is None


@pytest.mark.parametrize(
    "record",
    [
        SentRecord(3, "s-3", "unsure", "mosaic", "webp", 85, 999, ((0, 16, 32, 48),), 1, 5.5),
        WayRecord(3, "s-3", "lost", "Unavailable: away", 1200),
        VerdictRecord(
            3, "s-3", "heavy 1", (1, 2), (3,), ((4, "car"),), (("bus", (1, 2, 3, 4)),), 2, 1,
            (MissedObject("person", (5, 6, 7, 8), 2, 0.25),), 9.5,
        ),
        VerdictRecord(3, "s-3", late=True),
        PictureRecord(3, "sent", b"RIFF"),
    ],
    ids=lambda record: type(record).__name__,
)  # fmt: skip
def test_other_records_come_back_as_they_were(record: SentRecord) -> None:
    found = unpack(pack(record), header())
    if isinstance(record, PictureRecord):
        assert isinstance(found, PictureRecord)
        assert (found.sequence, found.kind, found.data) == (3, "sent", b"RIFF")
    else:
        assert found == record


def test_a_header_comes_back_and_another_version_is_refused() -> None:
    head = header(gate={"threshold": 0.3})
    assert unpack(pack(head), None) == head
    said = json.loads(pack(head)[1:])
    newer = pack(head)[:1] + json.dumps({**said, "version": 2}).encode()
    with pytest.raises(InvalidInput, match="of version 2; this program reads version 1"):
        unpack(newer, None)


def test_kinds_of_later_versions_are_passed_over() -> None:
    assert unpack(b"\xc8whatever", header()) is None


def test_more_candidates_than_any_tracker_gives_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        pack(a_frame(0, MAX_CANDIDATES + 1), NAMES)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00[]",
        b'\x00{"version":1}',
        b"\x01",
        b"\x01" + b"\xff" * 60,
        b"\x02{}",
        b"\x02" + b"[" * 100_000,
        b'\x03{"sequence":"x","request_id":"","way":""}',
        b'\x04{"sequence":1e999,"request_id":""}',
        b"\x05\x00",
        b"\x05" + b"\x00" * 8 + b"\x09",
    ],
    ids=range(12),
)
def test_nonsense_is_told(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        unpack(data, header())


def test_a_choice_that_names_no_candidate_is_refused() -> None:
    record = a_frame(0, 2)
    wrong = replace(record, choice=Choice((5,), ("x",)))
    with pytest.raises(InvalidInput, match="not there"):
        again(wrong)


def test_numbers_that_no_gate_was_given_are_refused() -> None:
    record = a_frame(0, 2)
    infinite = replace(record.evidence, loss=np.array([np.inf, 0.0]))
    with pytest.raises(InvalidInput, match="no gate"):
        again(replace(record, evidence=infinite))
