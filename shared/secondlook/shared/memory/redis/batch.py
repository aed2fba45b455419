"""Writes as the keys and arguments of one script, and its answers as outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from secondlook.shared.errors import InvalidInput, NotFound, StoreError, VersionConflict
from secondlook.shared.memory.record import Outcome, Write, encode
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.scripts import DELETE, SAVE
from secondlook.shared.memory.redis.text import damaged, parse, split_id
from secondlook.shared.memory.rules import check_write


class Batch:
    """Some writes, in order.

    Attributes:
        keys: the keys of the script `WRITE`.
        arguments: its arguments; empty where no write is sound.
    """

    def __init__(self, keys: Keys, writes: Sequence[Write]) -> None:
        self.keys = [keys.sequence, keys.sites, keys.graves]
        self.arguments: list[str | bytes | int] = []
        self._writes = writes
        self._errors: dict[int, InvalidInput] = {}
        places: dict[str, int] = {}
        for number, write in enumerate(writes):
            try:
                arguments = _arguments(write)
            except InvalidInput as error:
                self._errors[number] = error
                continue
            site, rest = split_id(write.id)
            if site not in places:
                places[site] = len(self.keys) + 1
                self.keys += (keys.records(site), keys.order(site))
            self.arguments += (places[site], site, rest, *arguments)

    def outcomes(self, answers: Sequence[bytes]) -> list[Outcome]:
        """What became of each write, from what the script answered."""
        answered = iter(zip(answers[::2], answers[1::2], strict=True))
        return [
            Outcome(error=self._errors[number])
            if number in self._errors
            else _outcome(write, *next(answered))
            for number, write in enumerate(self._writes)
        ]


def _arguments(write: Write) -> tuple[str | bytes | int, ...]:
    check_write(write.id, write.expected_version, write.writer, write.ttl_s, write.origin)
    origin = "" if write.origin is None else f"{write.origin.replica}={write.origin.token}"
    if write.data is None:
        return DELETE, write.expected_version, write.writer, 0, origin, b"{}"
    ttl_us = 0 if write.ttl_s is None else max(1, round(write.ttl_s * 1e6))
    return SAVE, write.expected_version, write.writer, ttl_us, origin, encode(write.data)


def _outcome(write: Write, said: bytes, raw: bytes) -> Outcome:
    if said == b"absent":
        return Outcome(error=NotFound(f"{write.id}: no such record"))
    if said == b"damaged":
        return Outcome(error=damaged(write.id))
    if said == b"conflict" and not raw:
        return Outcome(error=VersionConflict(write.id, write.expected_version, 0))
    try:
        record = parse(write.id, raw)
    except StoreError as error:
        return Outcome(error=error)
    if said == b"conflict":
        return Outcome(
            error=VersionConflict(write.id, write.expected_version, record.version, record)
        )
    if said == b"expired":
        record = replace(record, data={}, deleted=True)
    return Outcome(record, repeat=said != b"ok")
