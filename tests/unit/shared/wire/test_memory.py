import pytest

from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.shared.errors import InvalidInput, VersionConflict
from secondlook.shared.memory import Record
from secondlook.shared.wire.memory import (
    conflict_from_proto,
    conflict_to_proto,
    record_from_proto,
    record_to_proto,
)

RECORD = Record("s/c/track/1", {"class": "car", "n": 1}, 3, 17, 1_700_000_000.5, "edge-1", 1.7e9)
TOMBSTONE = Record("s/c/track/1", {}, 4, 18, 1_700_000_001.0, "edge-1", deleted=True)


@pytest.mark.parametrize("record", [RECORD, TOMBSTONE])
def test_a_record_survives_the_wire(record: Record) -> None:
    wire = record_to_proto(record).SerializeToString()
    assert record_from_proto(pb.Record.FromString(wire)) == record


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff", b'{"a":NaN}', b"[" * 5000])
def test_data_that_is_no_document_is_refused(data: bytes) -> None:
    message = record_to_proto(RECORD)
    message.data = data
    with pytest.raises(InvalidInput, match="data"):
        record_from_proto(message)


@pytest.mark.parametrize(("actual", "current"), [(3, RECORD), (0, None)])
def test_a_conflict_brings_the_record_that_stands(actual: int, current: Record | None) -> None:
    error = VersionConflict("s/c/track/1", 2, actual, current)
    wire = conflict_to_proto(error).SerializeToString()
    back = conflict_from_proto(pb.VersionConflict.FromString(wire))
    assert (back.record_id, back.expected, back.actual) == ("s/c/track/1", 2, actual)
    assert back.current == current


@pytest.mark.parametrize(
    ("record_id", "expected", "actual", "current"),
    [
        ("s/c/track/1", 2, 3, None),
        ("s/c/track/1", 2, 0, RECORD),
        ("s/c/track/1", 2, 4, RECORD),
        ("s/c/track/2", 2, 3, RECORD),
    ],
)
def test_a_conflict_that_contradicts_itself_is_refused(
    record_id: str, expected: int, actual: int, current: Record | None
) -> None:
    message = conflict_to_proto(VersionConflict(record_id, expected, actual, current))
    with pytest.raises(InvalidInput, match="conflict"):
        conflict_from_proto(message)
