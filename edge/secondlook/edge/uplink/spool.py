"""Questions on disk, for a cloud that is away: bounded, checked, and gone when stale. Blocking.

Each question is a file of its own: written beside, flushed to the disk, then renamed, so that a
process killed at any moment leaves it whole or not there. A file that does not match its checksum
is dropped and counted. Names order the files by age.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from secondlook.edge.state import kept_at
from secondlook.edge.uplink.settings import SpoolSettings
from secondlook.rpc.v1 import escalation_pb2
from secondlook.shared.errors import InvalidConfig, InvalidInput
from secondlook.shared.values import Escalation, Purpose
from secondlook.shared.wire.escalation import request_from_proto, request_to_proto

FOLDER_NAME = "spool"
MAX_NOTE_BYTES = 1024 * 1024

_MAGIC = b"SLSPOOL1"
_DIGEST_BYTES = 32
_SUFFIX = ".question"
_PART = ".part"
_HEAD_BYTES = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Spooled:
    """A question from the spool.

    Attributes:
        escalation: what is asked.
        note: what was put beside it.
        spooled_at: when, seconds since the Unix epoch.
        fresh_until: from then on its answer is of no use, seconds since the Unix epoch.
        size: of its file, bytes.
        name: of its file.
    """

    escalation: Escalation
    note: bytes
    spooled_at: float
    fresh_until: float
    size: int
    name: str

    def age_s(self, wall_s: float) -> float:
        """How old it is; 0 where the clock went back since."""
        return max(0.0, wall_s - self.spooled_at)


@dataclass(slots=True)
class SpoolCounts:
    """What became of questions.

    Attributes:
        stored: written.
        refused: not written: nothing of its kind is kept, or it is larger than the spool.
        taken: handed on to be sent.
        crowded_out: given up for newer ones.
        stale: given up for their age.
        corrupt: torn or changed on disk.
        failed: not written: the disk refused.
    """

    stored: int = 0
    refused: int = 0
    taken: int = 0
    crowded_out: int = 0
    stale: int = 0
    corrupt: int = 0
    failed: int = 0


class Spool:
    """A folder of questions, `open` first. One process at a time; its methods block on the disk.

    Args:
        folder: made where it is missing; nobody else may read it, for it holds pictures.
        settings: its bounds.
        wall: the time, seconds since the Unix epoch.

    """

    def __init__(self, folder: Path, settings: SpoolSettings, wall: Callable[[], float]) -> None:
        self._folder = folder
        self._settings = settings
        self._wall = wall
        self.counts = SpoolCounts()
        self._sizes: dict[str, int] = {}
        self._number = 1

    def open(self) -> None:
        """Make the folder, and find what an earlier process left in it.

        Raises:
            InvalidConfig: it cannot be made or read.
        """
        folder = self._folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in sorted(folder.iterdir()):
                if path.suffix == _PART:
                    # Its process died while it wrote: the question was never taken in.
                    path.unlink(missing_ok=True)
                    self.counts.corrupt += 1
                elif path.suffix == _SUFFIX:
                    self._sizes[path.name] = path.stat().st_size
        except OSError as error:
            raise InvalidConfig(
                f"uplink.spool.path: {folder} cannot be used: {error.strerror}"
            ) from None
        self._number = 1 + max((_number(name) for name in self._sizes), default=0)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """All files together, bytes."""
        return sum(self._sizes.values())

    def fresh_s(self, purpose: Purpose) -> float:
        """For how long a question of that purpose is worth keeping, seconds; 0: not at all."""
        if purpose is Purpose.AUDIT:
            return self._settings.audit_fresh_s
        return self._settings.question_fresh_s

    def put(self, escalation: Escalation, note: bytes = b"") -> bool:
        """Keep a question; older ones go where it would be too much.

        Args:
            escalation: what is asked; an update of a canvas cannot be kept, it means nothing alone.
            note: handed back with it.

        Returns:
            Whether it is kept, safe from a kill of the process from now on.
        """
        fresh_s = self.fresh_s(escalation.purpose)
        if not fresh_s or len(note) > MAX_NOTE_BYTES:
            self.counts.refused += 1
            return False
        now_s = self._wall()
        try:
            data = _packed(escalation, note, now_s, now_s + fresh_s)
        except InvalidInput:
            self.counts.refused += 1
            return False
        if len(data) > self._settings.max_bytes:
            self.counts.refused += 1
            return False
        while self._sizes and self.size + len(data) > self._settings.max_bytes:
            self._drop(min(self._sizes))
            self.counts.crowded_out += 1
        name = f"{self._number:012d}{_SUFFIX}"
        self._number += 1
        try:
            _write(self._folder / name, data)
        except OSError:
            self.counts.failed += 1
            (self._folder / name).with_suffix(_PART).unlink(missing_ok=True)
            return False
        self._sizes[name] = len(data)
        self.counts.stored += 1
        return True

    def oldest(self) -> Spooled | None:
        """The oldest question that is still fresh; it stays until `remove`. ``None``: empty."""
        while self._sizes:
            name = min(self._sizes)
            try:
                item = _unpacked(name, (self._folder / name).read_bytes())
            except (OSError, InvalidInput):
                self.counts.corrupt += 1
                self._drop(name)
                continue
            if self._wall() < item.fresh_until:
                return item
            self.counts.stale += 1
            self._drop(name)
        return None

    def remove(self, item: Spooled) -> None:
        """It was sent."""
        if item.name in self._sizes:
            self._drop(item.name)
            self.counts.taken += 1

    def _drop(self, name: str) -> None:
        del self._sizes[name]
        # What cannot be deleted is read again by the next process, and is stale by then.
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError:
            self.counts.failed += 1


def spool_folder(settings: SpoolSettings, environ: Mapping[str, str]) -> Path:
    """Where the spool is.

    Raises:
        InvalidConfig: the settings do not say, and there is no home directory.
    """
    return kept_at(
        settings.path, FOLDER_NAME, environ, what="keep questions", setting="uplink.spool.path"
    )


def _packed(escalation: Escalation, note: bytes, spooled_at: float, fresh_until: float) -> bytes:
    request = request_to_proto(escalation).SerializeToString()
    head = json.dumps(
        {
            "spooled_at": spooled_at,
            "fresh_until": fresh_until,
            "note": len(note),
            "request": len(request),
        }
    ).encode()
    body = _HEAD_BYTES.pack(len(head)) + head + note + request
    return _MAGIC + hashlib.sha256(body).digest() + body


def _unpacked(name: str, data: bytes) -> Spooled:
    """Raises `InvalidInput` where anything is not as `_packed` left it."""
    start = len(_MAGIC) + _DIGEST_BYTES
    body = data[start:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise InvalidInput(f"{name} is torn or was changed")
    # The checksum holds: the rest is as this or another version wrote it.
    try:
        (size,) = _HEAD_BYTES.unpack_from(body)
        at = _HEAD_BYTES.size + size
        head = json.loads(body[_HEAD_BYTES.size : at])
        note = body[at : at + head["note"]]
        request = escalation_pb2.EscalateRequest.FromString(body[at + head["note"] :])
        return Spooled(
            request_from_proto(request),
            note,
            float(head["spooled_at"]),
            float(head["fresh_until"]),
            len(data),
            name,
        )
    except (struct.error, ValueError, KeyError, TypeError, DecodeError) as error:
        raise InvalidInput(f"{name} is of another version: {error}") from None


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(_PART)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _number(name: str) -> int:
    stem = name.removesuffix(_SUFFIX)
    return int(stem) if stem.isdigit() else 0
