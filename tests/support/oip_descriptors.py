"""Prints the Open Inference Protocol's descriptors as one set of stubs has them, as JSON.

Run in a process of its own: ours and `tritonclient`'s stubs have the same symbols.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def described(module: Any) -> dict[str, list[str]]:
    """Every message, enum and method: its parts, each as one line."""
    found: dict[str, list[str]] = {}
    for enum in module.DESCRIPTOR.enum_types_by_name.values():
        found[enum.full_name] = [f"{value.name} {value.number}" for value in enum.values]
    for message in module.DESCRIPTOR.message_types_by_name.values():
        _add(message, found)
    for service in module.DESCRIPTOR.services_by_name.values():
        found[service.full_name] = [
            f"{method.name} {method.input_type.full_name} {method.output_type.full_name} "
            f"{method.client_streaming} {method.server_streaming}"
            for method in service.methods
        ]
    return found


def _add(message: Any, found: dict[str, list[str]]) -> None:
    found[message.full_name] = [
        f"{field.name} {field.number} {field.type} {field.label} "
        f"{field.message_type.full_name if field.message_type else ''}"
        f"{field.enum_type.full_name if field.enum_type else ''} "
        f"{field.containing_oneof.name if field.containing_oneof else ''}"
        for field in message.fields
    ]
    for enum in message.enum_types:
        found[enum.full_name] = [f"{value.name} {value.number}" for value in enum.values]
    for nested in message.nested_types:
        _add(nested, found)


if __name__ == "__main__":
    whole: dict[str, list[str]] = {}
    for name in sys.argv[1:]:
        whole |= described(importlib.import_module(name))
    sys.stdout.write(json.dumps(whole))
