"""Ids of records: ``site/camera/kind/key``."""

from __future__ import annotations

import re

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds.kind import Kind
from secondlook.shared.memory.record import check_id

DEFAULT_SITE = "default"
"""The site of cameras that name none."""

_KIND = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)


def context_id(camera: str, kind: type[Kind] | str, key: str) -> str:
    """The id of a record about a camera.

    Args:
        camera: ``site/camera``, or ``camera`` of the site ``default``.
        kind: the kind, or its name: a to z, 0 to 9 and ``-``.
        key: which record of that kind; one segment.

    Raises:
        InvalidInput: names the part that is wrong.
    """
    name = kind if isinstance(kind, str) else kind.KIND
    if not _KIND.fullmatch(name):
        raise InvalidInput(f"kind {name!r} must be 1 to 64 of a-z 0-9 -, a letter first")
    if "/" in key:
        raise InvalidInput(f"key {key!r} holds a '/'; one segment expected")
    if camera.count("/") > 1:
        raise InvalidInput(f"camera {camera!r} holds more than one '/'; site/camera expected")
    place = camera if "/" in camera else f"{DEFAULT_SITE}/{camera}"
    record_id = f"{place}/{name}/{key}"
    check_id(record_id)
    return record_id


def kind_of(record_id: str) -> str | None:
    """The kind that an id names; ``None`` where it is not of four segments."""
    parts = record_id.split("/")
    return parts[2] if len(parts) == 4 else None
