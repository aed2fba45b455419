"""The context memory in Redis: the cloud's store of record.

Needs Redis 5 or newer, and the append-only file for the promise that an acknowledged save is never
lost; a Redis without it is used, with a warning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import redis
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError

from secondlook.shared.errors import (
    InvalidConfig,
    InvalidInput,
    NotFound,
    StoreError,
    VersionConflict,
)
from secondlook.shared.memory.record import Changes, Document, Record, check_id, decode, encode
from secondlook.shared.memory.redis_scripts import CHANGES, DELETE, LOAD, SAVE
from secondlook.shared.memory.rules import as_seen, check_page, check_write
from secondlook.shared.telemetry import get_logger

R = TypeVar("R")

NAMESPACE = "secondlook"
MAX_CONNECTIONS = 16
TIMEOUT_S = 5.0
SCAN = 1000
"""Most entries of the order of changes that one call of Redis looks at; it must not block long."""


class RedisStore:
    """See `ContextStore`. Opened with `RedisStore.open`.

    A command is never repeated by itself: after a cut nobody knows whether a save happened, and
    only the caller can tell, by loading the record.
    """

    def __init__(self, client: aioredis.Redis, shown: str, namespace: str) -> None:
        self._client = client
        self._shown = shown
        # One hash tag: one slot of a Cluster.
        self._keys = [f"{{{namespace}}}:{name}" for name in ("records", "order", "sequence")]
        self._save = client.register_script(SAVE)
        self._delete = client.register_script(DELETE)
        self._load = client.register_script(LOAD)
        self._changes = client.register_script(CHANGES)
        self._closed = False

    @classmethod
    async def open(
        cls, url: str, *, namespace: str = NAMESPACE, timeout_s: float = TIMEOUT_S
    ) -> RedisStore:
        """Connect.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            namespace: prefix of the keys, to share a Redis.
            timeout_s: longest wait for a connection, and for an answer.

        Raises:
            InvalidConfig: the URL is malformed.
            StoreError: Redis cannot be reached, or refuses us.
        """
        try:
            pool = aioredis.BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                # Said here, or each new connection looks it up on disk, on the event loop.
                driver_info=DriverInfo(lib_version=redis.__version__),
            )
        except ValueError as error:
            raise InvalidConfig(f"memory.url is not a Redis URL: {error}") from None
        store = cls(aioredis.Redis(connection_pool=pool), without_password(url), namespace)
        try:
            await store.ping()
            await store._warn_if_forgetful()
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
    ) -> Record:
        """See `ContextStore.save`."""
        check_write(record_id, expected_version, writer, ttl_s)
        ttl_us = 0 if ttl_s is None else max(1, round(ttl_s * 1e6))
        outcome, raw, _ = await self._call(
            self._save, record_id, encode(data), expected_version, writer, ttl_us
        )
        if outcome != b"ok":
            raise _conflict(record_id, expected_version, raw)
        return _record(record_id, raw)

    async def load(self, record_id: str) -> Record:
        """See `ContextStore.load`."""
        check_id(record_id)
        outcome, raw, _ = await self._call(self._load, record_id)
        if outcome != b"ok":
            raise NotFound(f"{record_id}: no such record")
        return _record(record_id, raw)

    async def delete(self, record_id: str, expected_version: int, *, writer: str) -> Record:
        """See `ContextStore.delete`."""
        check_write(record_id, expected_version, writer, None)
        outcome, raw, _ = await self._call(self._delete, record_id, expected_version, writer)
        if outcome == b"absent":
            raise NotFound(f"{record_id}: no such record")
        if outcome != b"ok":
            raise _conflict(record_id, expected_version, raw)
        return _record(record_id, raw)

    async def changes(self, prefix: str = "", since: int = 0, limit: int = 100) -> Changes:
        """See `ContextStore.changes`."""
        check_page(prefix, since, limit)
        found: dict[str, Record] = {}
        cursor = since
        while True:
            now_us, newest, last, done, *rows = await self._call(
                self._changes, prefix, cursor, limit - len(found), SCAN
            )
            now = int(now_us) / 1e6
            for raw_id, raw in zip(rows[::2], rows[1::2], strict=True):
                record = as_seen(_record(raw_id.decode(), raw), now)
                # Written again since the last round: it moved to its newest change.
                found.pop(record.id, None)
                found[record.id] = record
            cursor = max(cursor, int(newest)) if done else int(last)
            if done or len(found) == limit:
                return Changes(tuple(found.values()), cursor, not done)

    async def ping(self) -> None:
        """See `ContextStore.ping`."""
        await self._guarded(lambda: cast("Awaitable[Any]", self._client.ping()))

    async def close(self) -> None:
        """See `ContextStore.close`."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._client.aclose()
            await self._client.connection_pool.aclose()
        except (RedisError, OSError) as error:
            # It was going away in any case.
            get_logger(__name__).debug("closing Redis failed", error=str(error))

    async def _call(self, script: Any, *arguments: str | bytes | int) -> list[Any]:
        """Run a script: EVALSHA, and once more with its text where Redis has forgotten it."""
        if self._closed:
            raise StoreError("the context memory is closed")
        return cast(
            "list[Any]",
            await self._guarded(lambda: script(keys=self._keys, args=list(arguments))),
        )

    async def _guarded(self, work: Callable[[], Awaitable[R]]) -> R:
        try:
            return await work()
        except (RedisError, OSError) as error:
            raise StoreError(f"context memory {self._shown}: {error}") from error

    async def _warn_if_forgetful(self) -> None:
        info = await self._guarded(lambda: self._client.info())
        log = get_logger(__name__)
        if not info.get("aof_enabled"):
            log.warning(
                "Redis has no append-only file: a crash loses acknowledged saves",
                store=self._shown,
                remedy="set appendonly yes",
            )
        if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
            log.warning(
                "Redis evicts keys when its memory is full",
                store=self._shown,
                remedy="set maxmemory-policy noeviction",
            )


def without_password(url: str) -> str:
    """The URL without its user and password, for people to read."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}".partition("?")[0]


def _conflict(record_id: str, expected: int, raw: bytes) -> VersionConflict:
    if not raw:
        return VersionConflict(record_id, expected, 0)
    current = _record(record_id, raw)
    return VersionConflict(record_id, expected, current.version, current)


def _record(record_id: str, raw: bytes) -> Record:
    try:
        head, writer, data = raw.split(b"\n", 2)
        version, change, updated_us, expires_us, deleted = map(int, head.split(b" "))
        return Record(
            id=record_id,
            data=decode(data),
            version=version,
            change=change,
            updated_at=updated_us / 1e6,
            writer=writer.decode(),
            expires_at=expires_us / 1e6 if expires_us else None,
            deleted=bool(deleted),
        )
    except (InvalidInput, ValueError) as error:
        raise StoreError(f"{record_id}: stored data is damaged") from error
