"""Values that are made at every request: frozen to the type checker alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from typing_extensions import dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def light(cls: type[T]) -> type[T]:
    """Make a class a dataclass with slots whose values nobody may change.

    A frozen dataclass sets each field through ``object.__setattr__``, so that making one costs
    three times as much (1.2 against 0.4 us for seven fields); and it is made for each request. Here
    the type checker refuses what a frozen one refuses, and nothing is paid for it.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
