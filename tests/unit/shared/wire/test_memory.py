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


@pytest.mark.parametrize("current", [RECORD, None])
def test_a_conflict_brings_the_record_that_stands(current: Record | None) -> None:
    wire = conflict_to_proto(VersionConflict("s/c/track/1", 2, 3, current)).SerializeToString()
    back = conflict_from_proto(pb.VersionConflict.FromString(wire))
    assert (back.record_id, back.expected, back.actual) == ("s/c/track/1", 2, 3)
    assert back.current == current
