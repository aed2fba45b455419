"""What peers of wire version 1 have sent is understood for ever, and answered in the same bytes."""

from __future__ import annotations

import copy
import json

import pytest
from google.protobuf.message import DecodeError
from support.golden import (
    GOLDEN,
    broken,
    filled,
    message_classes,
    missing,
    set_fields,
    snapshot,
)

from secondlook.rpc.v1 import context_memory_pb2, escalation_pb2

COMMITTED = json.loads((GOLDEN / "descriptors.json").read_text())
NAMES = sorted(path.stem for path in GOLDEN.glob("*.binpb"))
PACKAGE = "secondlook.rpc.v1"


def test_every_message_has_a_golden_file() -> None:
    classes = message_classes()
    assert {f"{PACKAGE}.{name.partition('.')[0]}" for name in NAMES} == set(classes), (
        "run tests/support/golden.py"
    )
    assert {name: missing(cls) for name, cls in classes.items() if missing(cls)} == {}, (
        "run tests/support/golden.py"
    )


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes_parse_to_equal_values(name: str) -> None:
    cls = message_classes()[f"{PACKAGE}.{name.partition('.')[0]}"]
    raw = (GOLDEN / f"{name}.binpb").read_bytes()
    message = cls.FromString(raw)
    # Fields that came later are not in older bytes; another file of the message holds them.
    assert message == filled(cls.DESCRIPTOR, COMMITTED, like=message)
    assert set_fields(message)


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes_are_written_again(name: str) -> None:
    cls = message_classes()[f"{PACKAGE}.{name.partition('.')[0]}"]
    raw = (GOLDEN / f"{name}.binpb").read_bytes()
    assert cls.FromString(raw).SerializeToString(deterministic=True) == raw


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_message_is_an_error_or_a_prefix_never_another_value(name: str) -> None:
    cls = message_classes()[f"{PACKAGE}.{name.partition('.')[0]}"]
    raw = (GOLDEN / f"{name}.binpb").read_bytes()
    whole = cls.FromString(raw)
    for end in range(len(raw)):
        try:
            part = cls.FromString(raw[:end])
        except DecodeError:
            continue
        assert part != whole
        assert part.ByteSize() <= end


def test_golden_values_by_hand() -> None:
    # The generator of the values is itself held by a few bytes written down by hand.
    size = escalation_pb2.FrameSize.FromString(bytes.fromhex("08ff8040 10e38140".replace(" ", "")))
    assert (size.width, size.height) == ((1 << 20) + 127, (1 << 20) + 227)
    assert size.SerializeToString() == (GOLDEN / "FrameSize.binpb").read_bytes()
    request = context_memory_pb2.LoadRequest.FromString(b"\x0a\x09id-127-\xc3\xa4")
    assert request.id == "id-127-ä"
    assert request.SerializeToString() == (GOLDEN / "LoadRequest.binpb").read_bytes()


def test_a_field_of_a_later_release_is_kept_and_ignored() -> None:
    raw = (GOLDEN / "EscalateRequest.binpb").read_bytes()
    later = raw + b"\xf8\x3f\x01"  # field 1023, varint 1
    message = escalation_pb2.EscalateRequest.FromString(later)
    assert message.camera == escalation_pb2.EscalateRequest.FromString(raw).camera
    assert message.SerializeToString() == later


def test_the_wire_only_grows() -> None:
    assert broken(COMMITTED, snapshot()) == []


def test_a_changed_wire_is_noticed() -> None:
    other = copy.deepcopy(COMMITTED)
    fields = other["messages"][f"{PACKAGE}.FrameSize"]
    fields["1"]["type"] = "uint64"
    del fields["2"]
    other["enums"][f"{PACKAGE}.Purpose"]["PURPOSE_LATER"] = 9
    del other["messages"][f"{PACKAGE}.Timings"]
    problems = broken(COMMITTED, other)
    assert len(problems) == 3
    assert f"{PACKAGE}.Timings is gone" in problems


def test_the_snapshot_is_up_to_date() -> None:
    # An addition is fine, and must be written down, so that it too is held from then on.
    assert snapshot() == COMMITTED, "run tests/support/golden.py"


def test_no_two_fields_share_a_name_or_number() -> None:
    for name, fields in snapshot()["messages"].items():
        names = [field["name"] for field in fields.values()]
        assert len(names) == len(set(names)), name
        assert not any(19000 <= int(number) <= 19999 for number in fields), name
