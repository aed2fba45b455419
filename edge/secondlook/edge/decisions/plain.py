"""Every record but a frame and a picture: plain values as JSON, and back.

What is missing or of another type is a `KeyError`, `ValueError`, `TypeError` or `OverflowError` of
the readers here; `unpack` says it in words.
"""

from __future__ import annotations

import json
import math
from typing import Any

from secondlook.edge.decisions.records import (
    LogHeader,
    MissedObject,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.shared.errors import InvalidInput

VERSION = 1


def to_json(value: Any) -> bytes:
    """Plain values as text; what is no Unicode is replaced."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def from_json(data: bytes) -> dict[str, Any]:
    """The object that a text is.

    Raises:
        InvalidInput: it is something else, or nested too deeply.
        ValueError: it is no JSON.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise InvalidInput("the text of a record is nested too deeply") from None
    if not isinstance(value, dict):
        raise InvalidInput("the text of a record is not an object")
    return value


def read_header(said: dict[str, Any]) -> LogHeader:
    """The header of a file.

    Raises:
        InvalidInput: it is of another version, or its settings are no object.
    """
    version = said["version"]
    if version != VERSION:
        raise InvalidInput(
            f"the log is of version {version!r}; this program reads version {VERSION}"
        )
    settings = said.get("settings", {})
    if not isinstance(settings, dict):
        raise InvalidInput("the settings of a log are not an object")
    return LogHeader(
        camera=str(said["camera"]),
        names=tuple(str(name) for name in said["names"]),
        settings=settings,
        model=str(said.get("model", "")),
        gate=str(said.get("gate", "")),
        session=str(said.get("session", "")),
        created_at=_number(said.get("created_at", 0.0)),
        software=str(said.get("software", "")),
    )


def read_sent(said: dict[str, Any]) -> SentRecord:
    """A question that was packed."""
    return SentRecord(
        sequence=int(said["sequence"]),
        request_id=str(said["request_id"]),
        purpose=str(said["purpose"]),
        carrier=str(said["carrier"]),
        encoding=str(said["encoding"]),
        quality=int(said["quality"]),
        size=int(said["size"]),
        regions=tuple(_four(region) for region in said["regions"]),
        blurred=int(said.get("blurred", 0)),
        at_s=_number(said["at_s"]),
    )


def read_way(said: dict[str, Any]) -> WayRecord:
    """How a question went on."""
    return WayRecord(
        int(said["sequence"]),
        str(said["request_id"]),
        str(said["way"]),
        str(said.get("why", "")),
        int(said.get("wire_bytes", 0)),
    )


def read_verdict(said: dict[str, Any]) -> VerdictRecord:
    """What a verdict did."""
    missed = said.get("missed")
    return VerdictRecord(
        sequence=int(said["sequence"]),
        request_id=str(said["request_id"]),
        model=str(said["model"]),
        confirmed=tuple(int(track) for track in said["confirmed"]),
        refuted=tuple(int(track) for track in said["refuted"]),
        changed=tuple((int(track), str(name)) for track, name in said["changed"]),
        new=tuple((str(name), _four(box)) for name, box in said["new"]),
        revised=int(said["revised"]),
        revision=int(said["revision"]),
        missed=None if missed is None else tuple(_missed(one) for one in missed),
        at_s=_number(said["at_s"]),
        late=bool(said["late"]),
    )


def _missed(said: dict[str, Any]) -> MissedObject:
    return MissedObject(
        str(said["name"]), _four(said["box"]), int(said["candidate"]), _number(said["loss"])
    )


def _four(values: Any) -> tuple[int, int, int, int]:
    a, b, c, d = (int(value) for value in values)
    return a, b, c, d


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise InvalidInput(f"{number} is not a finite number")
    return number
