"""The context memory in Redis: the cloud's store of record. Redis 6.2 to 8, or Valkey.

What an acknowledged write survives:

=============================  ==================  =====================  =====================
what happens                   appendfsync always  everysec (usual)       no
=============================  ==================  =====================  =====================
this process is killed         kept                kept                   kept
Redis is killed and restarted  kept                up to 2 s lost (1)     kept
its machine loses power        kept                up to 2 s lost         about 30 s lost
another takes over (failover)  lost what no replica had (2); with ``wait_replicas`` kept (3)
=============================  ==================  =====================  =====================

1. While Redis flushes its file in the background it does not write to it, for up to 2 seconds, but
   answers: what it answered meanwhile dies with it. Without an append-only file all is lost.
2. Replication is asynchronous: usually milliseconds, but nothing bounds it. Where the old master is
   cut off and not dead, clients that reach it still write into what will be thrown away, until its
   clock says otherwise (``min-replicas-to-write 1``, ``min-replicas-max-lag 10``).
3. ``wait_replicas`` as large as the number of replicas that may be promoted. A write that fewer
   have in time fails with `StoreError`: it may stand or not, as after any lost answer; repeated
   with its `Origin`, it happens once. It does not replace ``appendfsync always``: a master that
   restarts before it is replaced imposes what its file holds on its replicas.

A server that was not the last to write (it restarted, or took over) goes on with changes far above
those that may have been lost, so that no cursor skips a write. A replica may then know versions
that this store has lost; it meets them as conflicts.

`RedisStore.open` warns where the settings of the server lose more than the first column.

While a Cluster moves the slot of a namespace, its keys are in two places and calls fail with
`StoreError` (retriable); so do those that meet a failover. The next call looks for the new master.
"""

from secondlook.shared.memory.redis.store import RedisStore
from secondlook.shared.memory.redis_url import without_password

__all__ = ["RedisStore", "without_password"]
