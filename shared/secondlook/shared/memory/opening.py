"""From a URL to a store."""

from __future__ import annotations

from secondlook.shared.errors import InvalidConfig, MissingDependency
from secondlook.shared.memory.protocol import ContextStore
from secondlook.shared.memory.redis_url import is_redis_url
from secondlook.shared.memory.sqlite import SqliteStore

SQLITE = "sqlite:///"
REMOTE = ("grpc://", "grpcs://")


async def open_store(
    url: str, *, namespace: str = "secondlook", wait_replicas: int = 0, wait_ms: int = 1000
) -> ContextStore:
    """Open the store that ``url`` names.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite:///:memory:``;
            ``redis://HOST:PORT/DB`` and the other URLs of `redis_url`; ``grpc://HOST:PORT`` or
            ``grpcs://...`` (TLS) for the cloud's service, see `RemoteAddress`.
        namespace: Redis: what all keys begin with.
        wait_replicas: Redis: replicas that must have a write before it is acknowledged.
        wait_ms: Redis: the longest wait for them.

    Raises:
        InvalidConfig: no such kind of store, or the URL is malformed.
        MissingDependency: a Redis URL without the ``redis`` library.
        StoreError: it cannot be opened or reached. Of a service this is told by the first call.
    """
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return await SqliteStore.open(url.removeprefix(SQLITE))
    if url.startswith(REMOTE):
        # `shared.wire` imports the values of this package: not while it is being imported.
        from secondlook.shared.memory.remote import RemoteStore

        return await RemoteStore.open(url)
    if is_redis_url(url):
        # Only the cloud has the redis library; an edge must import this module without it.
        try:
            from secondlook.shared.memory.redis import RedisStore
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "redis":
                raise
            raise MissingDependency("the redis library", "cloud") from None
        return await RedisStore.open(
            url, namespace=namespace, wait_replicas=wait_replicas, wait_ms=wait_ms
        )
    raise InvalidConfig(
        f"context memory {url!r} is not a store",
        remedy="sqlite:///PATH, redis://HOST:PORT/DB, rediss://, unix:///PATH, redis+cluster://, "
        "redis+sentinel://, grpc://HOST:PORT or grpcs://HOST:PORT",
    )
