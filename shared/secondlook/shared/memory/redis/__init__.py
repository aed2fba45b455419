"""The context memory in Redis: the cloud's store of record."""

from secondlook.shared.memory.redis.store import RedisStore
from secondlook.shared.memory.redis_url import without_password

__all__ = ["RedisStore", "without_password"]
