"""Callers that save into a store."""

from __future__ import annotations

import itertools

from secondlook.cli.bench.memory.callers import Prepare, Request
from secondlook.cli.bench.memory.documents import document, record_id
from secondlook.shared.memory.protocol import ContextStore

NUMBERS = itertools.count()
"""Each caller of a run writes a record of its own: none meets another's version."""


def saves(store: ContextStore) -> Prepare:
    """Callers that each save one record again and again, each time over the version before."""

    def one() -> Request:
        number = next(NUMBERS)
        identity, data, version = record_id(number), document(number), itertools.count()

        async def save() -> None:
            await store.save(identity, data, next(version), writer="bench")

        return save

    async def prepare(callers: int) -> list[Request]:
        return [one() for _ in range(callers)]

    return prepare
