"""One message of every type of wire version 1, with every field set to a telling value.

``python tests/support/golden.py`` writes what is missing under ``tests/unit/rpc/golden/``. It never
rewrites the bytes that exist, which are what released peers send, and refuses any change of the
wire that is not an addition. A message that has grown, or holds one thing out of several, has more
than one file: ``Name.binpb``, ``Name.2.binpb`` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import Message

from secondlook.rpc.v1 import context_memory_pb2, escalation_pb2

GOLDEN = Path(__file__).resolve().parents[1] / "unit" / "rpc" / "golden"
FILES: tuple[FileDescriptor, ...] = (escalation_pb2.DESCRIPTOR, context_memory_pb2.DESCRIPTOR)
MODULES = (escalation_pb2, context_memory_pb2)

TYPES = {
    value: key.removeprefix("TYPE_").lower()
    for key, value in vars(FieldDescriptor).items()
    if key.startswith("TYPE_")
}


def filled(
    descriptor: Descriptor, known: Mapping[str, Any], like: Message | None = None
) -> Message:
    """A message of that type with every field that ``known`` (a `snapshot`) lists set.

    With ``like``, only those that are set there.

    The values follow from field numbers alone. Strings hold a two-byte character, integers take
    several bytes as varints, repeated fields hold two entries, so that a changed encoding shows.
    """
    message = message_classes()[descriptor.full_name]()
    for field in descriptor.fields:
        if str(field.number) not in known["messages"][descriptor.full_name]:
            continue
        if like is not None and field.name not in set_fields(like):
            continue
        if field.message_type is not None:
            inner = None
            if like is not None:
                inner = getattr(like, field.name)
                inner = inner[0] if _repeated(field) else inner
            child = filled(field.message_type, known, inner)
            if _repeated(field):
                getattr(message, field.name).extend([child, child])
            else:
                getattr(message, field.name).CopyFrom(child)
        elif _repeated(field):
            getattr(message, field.name).extend([_value(field, 0), _value(field, 1)])
        else:
            setattr(message, field.name, _value(field, 0))
    return message


def set_fields(message: Message) -> set[str]:
    """Names of the fields that are set."""
    return {field.name for field, _ in message.ListFields()}


def golden_files(name: str) -> list[Path]:
    """The files of a message, by its short name."""
    return sorted([*GOLDEN.glob(f"{name}.binpb"), *GOLDEN.glob(f"{name}.*.binpb")])


def missing(cls: type[Message]) -> set[str]:
    """Names of the fields that no golden file of the message holds."""
    held = [
        set_fields(cls.FromString(path.read_bytes())) for path in golden_files(cls.DESCRIPTOR.name)
    ]
    return {field.name for field in cls.DESCRIPTOR.fields}.difference(*held)


def _repeated(field: FieldDescriptor) -> bool:
    # `FieldDescriptor.label` is deprecated in newer protobuf, `is_repeated` absent in older.
    owner = DescriptorProto()
    field.containing_type.CopyToProto(owner)
    proto = next(f for f in owner.field if f.number == field.number)
    return proto.label == proto.LABEL_REPEATED


def _value(field: FieldDescriptor, index: int) -> Any:
    seed = field.number * 100 + 27 + index
    kind = TYPES[field.type]
    if kind == "string":
        return f"{field.name}-{seed}-ä"
    if kind == "bytes":
        return bytes([0, 255, seed % 256]) + field.name.encode()
    if kind == "bool":
        return True
    if kind == "enum":
        return field.enum_type.values[1].number
    if kind in ("float", "double"):
        return seed + 0.5  # exact in both
    if kind in ("int64", "uint64"):
        return (1 << 40) + seed
    return (1 << 20) + seed


def message_classes() -> dict[str, type[Message]]:
    """Class of every message type, by full name."""
    return {
        cls.DESCRIPTOR.full_name: cls
        for module in MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Message)
    }


def snapshot() -> dict[str, Any]:
    """Everything of the wire that a peer depends on, as plain JSON."""
    return {
        "messages": {d.full_name: _message(d) for d in _messages()},
        "enums": {e.full_name: _enum(e) for f in FILES for e in f.enum_types_by_name.values()},
        "services": {
            s.full_name: {
                m.name: {
                    "input": m.input_type.full_name,
                    "output": m.output_type.full_name,
                    "client_streaming": m.client_streaming,
                    "server_streaming": m.server_streaming,
                }
                for m in s.methods
            }
            for f in FILES
            for s in f.services_by_name.values()
        },
    }


def _messages() -> Iterator[Descriptor]:
    for file in FILES:
        yield from file.message_types_by_name.values()


def _message(descriptor: Descriptor) -> dict[str, Any]:
    return {
        str(field.number): {
            "name": field.name,
            "type": TYPES[field.type],
            "repeated": _repeated(field),
            "of": (field.message_type or field.enum_type).full_name
            if field.message_type or field.enum_type
            else None,
            "oneof": field.containing_oneof.name if field.containing_oneof else None,
        }
        for field in descriptor.fields
    }


def _enum(descriptor: EnumDescriptor) -> dict[str, int]:
    return {value.name: value.number for value in descriptor.values}


def broken(committed: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What ``now`` lacks or says otherwise than ``committed``; additions are no breakage."""
    found = []
    for kind, entries in committed.items():
        for name, parts in entries.items():
            if name not in now[kind]:
                found.append(f"{name} is gone")
                continue
            found += [
                f"{name} {key}: was {value}, is {now[kind][name].get(key)}"
                for key, value in parts.items()
                if now[kind][name].get(key) != value
            ]
    return found


def main() -> None:
    """Write the golden files that do not exist yet, and add what is new to the snapshot."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    known = snapshot()
    path = GOLDEN / "descriptors.json"
    if path.exists() and (problems := broken(json.loads(path.read_text()), known)):
        raise SystemExit("the wire only grows:\n" + "\n".join(problems))
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    for _, cls in sorted(message_classes().items()):
        while (new := missing(cls)) or not golden_files(cls.DESCRIPTOR.name):
            message = filled(cls.DESCRIPTOR, known)
            for oneof in cls.DESCRIPTOR.oneofs:
                # Of several, the last one set is held: one that no file has yet.
                for field in [field for field in oneof.fields if field.name in new][:1]:
                    value = getattr(message, field.name)
                    if field.message_type is not None:
                        value.CopyFrom(filled(field.message_type, known))
                    else:
                        setattr(message, field.name, _value(field, 0))
            number = len(golden_files(cls.DESCRIPTOR.name)) + 1
            name = cls.DESCRIPTOR.name + (f".{number}" if number > 1 else "")
            (GOLDEN / f"{name}.binpb").write_bytes(message.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
