"""Writes as the keys and arguments of one script, and its answers as outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from secondlook.shared.errors import InvalidInput, NotFound, StoreError, VersionConflict
from secondlook.shared.memory.encoded import Encoded
from secondlook.shared.memory.record import Outcome, Write, encode
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.scripts import DELETE, SAVE
from secondlook.shared.memory.redis.text import damaged, parse, split_id, with_head
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
        self._documents: list[bytes | Encoded] = []
        places: dict[str, int] = {}
        for number, write in enumerate(writes):
            try:
                origin, document = _checked(write)
            except InvalidInput as error:
                self._errors[number] = error
                continue
            site, rest = split_id(write.id)
            if site not in places:
                places[site] = len(self.keys) + 1
                self.keys += (keys.records(site), keys.order(site))
            verb = DELETE if write.data is None else SAVE
            ttl_us = (
                0 if write.ttl_s is None or verb == DELETE else max(1, round(write.ttl_s * 1e6))
            )
            self.arguments += (places[site], site, rest, verb, write.expected_version)
            self.arguments += (write.writer, ttl_us, origin, document)
            # Of the caller's own document it is told that very one; a dict it might have changed.
            self._documents.append(write.data if isinstance(write.data, Encoded) else document)

    def outcomes(self, answers: Sequence[bytes]) -> list[Outcome]:
        """What became of each write, from what the script answered."""
        answered = iter(zip(answers[::2], answers[1::2], strict=True))
        documents = iter(self._documents)
        return [
            Outcome(error=self._errors[number])
            if number in self._errors
            else _outcome(write, *next(answered), next(documents))
            for number, write in enumerate(self._writes)
        ]


def _checked(write: Write) -> tuple[str, bytes]:
    """Its origin and its document as text.

    Raises:
        InvalidInput: it can never work.
    """
    check_write(write.id, write.expected_version, write.writer, write.ttl_s, write.origin)
    origin = "" if write.origin is None else f"{write.origin.replica}={write.origin.token}"
    return origin, b"{}" if write.data is None else encode(write.data)


def _outcome(write: Write, said: bytes, raw: bytes, data: bytes | Encoded) -> Outcome:
    if said == b"ok":
        return Outcome(with_head(write.id, raw, write.writer, data))
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
    return Outcome(record, repeat=True)
