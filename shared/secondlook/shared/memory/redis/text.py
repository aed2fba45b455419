"""A record as text in Redis.

::

    VERSION CHANGE UPDATED_US EXPIRES_US DELETED
    REPLICA=TOKEN REPLICA=TOKEN ...
    WRITER
    DATA

Times are microseconds since the Unix epoch; ``EXPIRES_US`` is 0 for never. The second line holds
the last `Origin` of each replica, the newest last. The scripts write this; Python only reads it.
"""

from __future__ import annotations

from secondlook.shared.errors import StoreError
from secondlook.shared.memory.encoded import Encoded
from secondlook.shared.memory.record import Record, decode


def split_id(record_id: str) -> tuple[str, str]:
    """The site of an id, and the rest of the id: empty where the id is one segment."""
    site, _, rest = record_id.partition("/")
    return site, rest


def join_id(site: str, rest: str) -> str:
    """The inverse of `split_id`."""
    return f"{site}/{rest}" if rest else site


def parse(record_id: str, raw: bytes) -> Record:
    """The record of a text.

    Raises:
        StoreError: the text is damaged.
    """
    try:
        head, _, writer, data = raw.split(b"\n", 3)
        return with_head(record_id, head, writer.decode(), data)
    except ValueError as error:
        raise damaged(record_id) from error


def with_head(record_id: str, head: bytes, writer: str, data: bytes | Encoded) -> Record:
    """The record of a first line and what belongs to it.

    Raises:
        StoreError: one of them is damaged.
    """
    try:
        version, change, updated_us, expires_us, deleted = map(int, head.split(b" "))
        return Record(
            id=record_id,
            data=data if isinstance(data, Encoded) else decode(data),
            version=version,
            change=change,
            updated_at=updated_us / 1e6,
            writer=writer,
            expires_at=expires_us / 1e6 if expires_us else None,
            deleted=bool(deleted),
        )
    except ValueError as error:
        raise damaged(record_id) from error


def damaged(record_id: str) -> StoreError:
    """What a text that no store of ours wrote is answered with."""
    return StoreError(
        f"{record_id}: stored text is damaged",
        remedy="something else wrote under the keys of this namespace; restore or remove the field",
    )
