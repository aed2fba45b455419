"""Reads what the local store holds about one camera."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from secondlook.edge.fusion.places import MAX_PLACES
from secondlook.edge.memory.notes import SELFTEST, Recollection
from secondlook.shared.errors import InvalidInput, StoreError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import (
    FalsePositive,
    GateState,
    Kind,
    ModelPin,
    ScenePrior,
    ScoreCalibration,
    SiteMode,
    TrackVerdict,
    TrustWindow,
    context_id,
)
from secondlook.shared.memory.sqlite import find
from secondlook.shared.telemetry import get_logger
from secondlook.shared.trust import SITE_CAMERA

_log = get_logger(__name__)
K = TypeVar("K", bound=Kind)

PIN = "heavy"
"""Key of the pin that names the model that is asked."""
_MAX_CALIBRATIONS = 16
"""Gates and heavy models of a camera whose counts are recalled."""
_MAX_WINDOWS = 64
"""Windows that are recalled; a certificate that stands is among the last few."""
# "0" follows "/": the range from "a/" to "a0" holds what begins with "a/".
_NEWEST = (
    "SELECT id FROM records WHERE id >= ? AND id < ? AND NOT deleted ORDER BY change DESC LIMIT ?"
)


async def load_recollection(store: SqliteStore, camera: str, now: float) -> Recollection:
    """What is known about a camera. What cannot be read is skipped and counted.

    Args:
        store: the local store.
        camera: id of the camera.
        now: wall clock, seconds since the Unix epoch.

    Raises:
        StoreError: the store failed.
    """
    return await store.read(lambda db: _recollect(db, camera, now))


@dataclass(frozen=True, slots=True)
class Pins:
    """The heavy models that cameras are held at.

    Attributes:
        models: by camera; absent without a pin.
        problems: by camera, why a pin cannot be read; it counts as none.
    """

    models: dict[str, str]
    problems: dict[str, str]


async def load_pins(store: SqliteStore, cameras: Iterable[str], now: float) -> Pins:
    """The pins that stand.

    Args:
        store: the local store.
        cameras: ids of the cameras.
        now: wall clock, seconds since the Unix epoch.

    Raises:
        StoreError: the store failed.
    """

    def work(db: sqlite3.Connection) -> Pins:
        pins = Pins({}, {})
        for camera in cameras:
            try:
                _, record = find(db, context_id(camera, ModelPin, PIN), now)
                if record is not None:
                    pins.models[camera] = ModelPin.of(record.data).model
            except (InvalidInput, StoreError) as error:  # noqa: PERF203 - others are read
                pins.problems[camera] = str(error)
        return pins

    return await store.read(work)


async def newest_change(store: SqliteStore) -> int:
    """Number of the newest change of the store, whoever made it.

    Raises:
        StoreError: the store failed.
    """

    def work(db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT change FROM state").fetchone()[0])

    return await store.read(work)


async def load_site_trust(
    store: SqliteStore, cameras: Iterable[str], now: float
) -> dict[str, dict[str, TrustWindow]]:
    """What sites have certified, for each of some cameras; what cannot be read is left out.

    Raises:
        StoreError: the store failed.
    """

    def work(db: sqlite3.Connection) -> dict[str, dict[str, TrustWindow]]:
        sites = {camera: _site_camera(camera) for camera in cameras}
        found = {
            site: _newest(db, site, TrustWindow, now, _MAX_WINDOWS)[0] for site in sites.values()
        }
        return {camera: found[site] for camera, site in sites.items()}

    return await store.read(work)


def _recollect(db: sqlite3.Connection, camera: str, now: float) -> Recollection:
    skipped = 0

    def newest(kind: type[K], most: int = MAX_PLACES, of: str = camera) -> dict[str, K]:
        nonlocal skipped
        found, unreadable = _newest(db, of, kind, now, most)
        skipped += unreadable
        return found

    return Recollection(
        newest(TrackVerdict),
        newest(FalsePositive),
        newest(GateState),
        newest(ScenePrior),
        newest(TrustWindow, _MAX_WINDOWS),
        newest(TrustWindow, _MAX_WINDOWS, _site_camera(camera)),
        skipped,
        newest(ScoreCalibration, _MAX_CALIBRATIONS),
        newest(SiteMode, 1).get(SELFTEST),
    )


def _newest(
    db: sqlite3.Connection, camera: str, kind: type[K], now: float, most: int
) -> tuple[dict[str, K], int]:
    """The records of a kind that can be read, the longest unchanged first; how many cannot be."""
    prefix = context_id(camera, kind, "x")[:-1]
    rows = db.execute(_NEWEST, (prefix, prefix[:-1] + "0", most)).fetchall()
    found, skipped = {}, 0
    for (record_id,) in reversed(rows):
        try:
            _, record = find(db, record_id, now)
            if record is not None:
                found[record_id.removeprefix(prefix)] = kind.of(record.data)
        except (InvalidInput, StoreError) as error:  # noqa: PERF203 - others are read
            skipped += 1
            _log.warning("a record is skipped", record=record_id, error=str(error))
    return found, skipped


def _site_camera(camera: str) -> str:
    """Where the records of a camera's site are."""
    return f"{context_id(camera, TrustWindow, 'x').partition('/')[0]}/{SITE_CAMERA}"
