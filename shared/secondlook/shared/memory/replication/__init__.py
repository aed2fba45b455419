"""The edge's memory and the cloud's are kept the same, over whatever network there is."""

from secondlook.shared.memory.replication.replica import SqliteReplica
from secondlook.shared.memory.replication.replicator import Replicator
from secondlook.shared.memory.replication.settings import ReplicationSettings
from secondlook.shared.memory.replication.values import (
    Counts,
    Parked,
    ReplicationStatus,
    SyncReport,
)

__all__ = [
    "Counts",
    "Parked",
    "ReplicationSettings",
    "ReplicationStatus",
    "Replicator",
    "SqliteReplica",
    "SyncReport",
]
