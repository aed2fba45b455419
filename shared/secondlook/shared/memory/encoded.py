"""A document that carries its own encoded form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Encoded(Mapping[str, Any]):
    """A document that was checked and encoded: who passes it on need do neither again.

    Made by `secondlook.shared.memory.record.settled` alone, which vouches that both forms agree;
    they stay so because neither can be replaced. What is nested in it must not be changed.

    Attributes:
        raw: what `secondlook.shared.memory.record.encode` makes of it.
    """

    __slots__ = ("_data", "_raw")

    def __init__(self, data: dict[str, Any], raw: bytes) -> None:
        self._data = data
        self._raw = raw

    @property
    def raw(self) -> bytes:
        """See the class."""
        return self._raw

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return repr(self._data)
