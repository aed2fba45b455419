"""The store itself: from the calls of `ContextStore` to scripts and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from secondlook.shared.errors import InvalidInput, NotFound, StoreError
from secondlook.shared.memory.record import (
    Changes,
    Document,
    Origin,
    Outcome,
    Record,
    Write,
    check_id,
)
from secondlook.shared.memory.redis.batch import Batch
from secondlook.shared.memory.redis.durability import WAIT_MS, Wait, check_durability
from secondlook.shared.memory.redis.keys import Keys
from secondlook.shared.memory.redis.locating import locator
from secondlook.shared.memory.redis.master import Master
from secondlook.shared.memory.redis.pages import read_changes
from secondlook.shared.memory.redis.scripts import FORGET, WRITE
from secondlook.shared.memory.redis.text import parse, split_id
from secondlook.shared.memory.redis_url import parse_redis_url
from secondlook.shared.memory.rules import as_seen, check_batch, check_page

NAMESPACE = "secondlook"
TIMEOUT_S = 5.0
FORGOTTEN_AT_ONCE = 256
"""Most records that one call of Redis forgets; it must not block long."""


class RedisStore:
    """See `ContextStore` and `Compactable`. Opened with `RedisStore.open`.

    A write is never repeated by itself: after a cut nobody knows whether it happened. The caller
    repeats it with the same `Origin`, or looks.
    """

    def __init__(self, master: Master, keys: Keys, shown: str, wait: Wait | None) -> None:
        self._master = master
        self._keys = keys
        self._shown = shown
        self._wait = wait

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        namespace: str = NAMESPACE,
        timeout_s: float = TIMEOUT_S,
        wait_replicas: int = 0,
        wait_ms: int = WAIT_MS,
    ) -> RedisStore:
        """Connect, and warn of settings under which acknowledged writes can be lost.

        Args:
            url: see `secondlook.shared.memory.redis_url`.
            namespace: prefix of the keys, to share a Redis.
            timeout_s: longest wait for a connection, and for an answer.
            wait_replicas: replicas that must have a write before it is acknowledged; 0: none.
            wait_ms: longest wait for them.

        Raises:
            InvalidConfig: the URL, the namespace or a number is malformed.
            StoreError: Redis cannot be reached, refuses us, or is a replica.
        """
        target = parse_redis_url(url)
        keys = Keys(namespace)
        wait = Wait.of(wait_replicas, wait_ms)
        master = Master(locator(target, keys, timeout_s), target.shown, timeout_s)
        store = cls(master, keys, target.shown, wait)
        try:
            await store.ping()
            await check_durability(master, target, wait_replicas)
        except BaseException:
            await store.close()
            raise
        return store

    async def save(
        self,
        record_id: str,
        data: Document,
        expected_version: int,
        *,
        writer: str,
        ttl_s: float | None = None,
        origin: Origin | None = None,
    ) -> Record:
        """See `ContextStore.save`."""
        if data is None:  # In a `Write` this would delete.
            raise InvalidInput("data is None; a JSON object expected")
        return await self._write_one(
            Write(record_id, data, expected_version, writer, ttl_s, origin)
        )

    async def load(self, record_id: str) -> Record:
        """See `ContextStore.load`."""
        check_id(record_id)
        site, rest = split_id(record_id)
        raw, time = await self._master.ask(("HGET", self._keys.records(site), rest), ("TIME",))
        if raw is not None:
            seconds, micros = time
            record = as_seen(parse(record_id, raw), int(seconds) + int(micros) / 1e6)
            if not record.deleted:
                return record
        raise NotFound(f"{record_id}: no such record")

    async def delete(
        self, record_id: str, expected_version: int, *, writer: str, origin: Origin | None = None
    ) -> Record:
        """See `ContextStore.delete`."""
        return await self._write_one(Write(record_id, None, expected_version, writer, None, origin))

    async def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `ContextStore.apply`.

        All of them are one script: one step for Redis, and none runs twice or out of order.
        """
        check_batch(len(writes))
        return await self._write(writes)

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """See `ContextStore.changes`. A page ends early where its records are large."""
        check_page(prefix, since, limit)
        return await read_changes(self._master, self._keys, prefix, since, limit)

    async def compact(self, keep_s: float, limit: int = 1000) -> int:
        """See `Compactable.compact`."""
        if not (math.isfinite(keep_s) and keep_s >= 0) or limit < 1:
            raise InvalidInput("keep_s must be 0 or more, and limit 1 or more")
        count = 0
        while count < limit:
            size = min(limit - count, FORGOTTEN_AT_ONCE)
            due = await self._due(keep_s, size)
            for site, rests in due.items():
                keys = self._keys
                (forgotten,) = await self._master.script(
                    FORGET,
                    (keys.sites, keys.graves, keys.floors, keys.records(site), keys.order(site)),
                    (site, round(keep_s * 1e6), *rests),
                )
                count += int(forgotten)
            if sum(map(len, due.values())) < size:
                break
        return count

    async def ping(self) -> None:
        """See `ContextStore.ping`."""
        await self._master.ask(("PING",))

    async def close(self) -> None:
        """See `ContextStore.close`."""
        await self._master.close()

    async def _due(self, keep_s: float, size: int) -> dict[str, list[str]]:
        """The rests of the ids that have been dead for ``keep_s``, by site."""
        ((seconds, micros),) = await self._master.ask(("TIME",))
        before = int(seconds) * 1_000_000 + int(micros) - round(keep_s * 1e6)
        (ids,) = await self._master.ask(
            ("ZRANGEBYSCORE", self._keys.graves, "-inf", before, "LIMIT", 0, size)
        )
        due: dict[str, list[str]] = {}
        for raw in ids:
            site, rest = split_id(raw.decode())
            due.setdefault(site, []).append(rest)
        return due

    async def _write_one(self, write: Write) -> Record:
        (outcome,) = await self._write([write])
        if outcome.error is not None:
            raise outcome.error
        assert outcome.record is not None
        return outcome.record

    async def _write(self, writes: Sequence[Write]) -> list[Outcome]:
        batch = Batch(self._keys, writes)
        if not batch.arguments:
            return batch.outcomes(())
        wait = self._wait
        if wait is None:
            (answers,) = await self._master.script(WRITE, batch.keys, batch.arguments)
            return batch.outcomes(answers)
        answers, replicas = await self._master.script(
            WRITE, batch.keys, batch.arguments, wait.command, wait_s=wait.limit_s
        )
        outcomes = batch.outcomes(answers)
        if int(replicas) < wait.replicas and any(outcome.record for outcome in outcomes):
            raise StoreError(
                f"context memory {self._shown}: written, but {int(replicas)} of {wait.replicas} "
                f"replicas have it after {wait.limit_s:g} s; a failover may lose it"
            )
        return outcomes
