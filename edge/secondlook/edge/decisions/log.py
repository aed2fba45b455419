"""The decision log of a daemon: a bounded queue, and a thread that packs and writes.

Nothing waits for it. A record for which there is no room is dropped and counted; where the disk
refuses, the log stops, says so once, and tries again later.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from prometheus_client import CollectorRegistry

from secondlook.edge.decisions.blocks import block
from secondlook.edge.decisions.files import DECISIONS_SUFFIX, PICTURES_SUFFIX, Bounds, Series
from secondlook.edge.decisions.meter import DecisionMeter
from secondlook.edge.decisions.packing import pack
from secondlook.edge.decisions.records import LogHeader, PictureRecord, Record
from secondlook.edge.decisions.settings import DecisionSettings
from secondlook.shared.clock import Clock
from secondlook.shared.errors import InvalidInput
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

RETRY_S = 60.0
"""After this long a disk that refused is tried again."""
GATHER_BYTES = 64 * 1024
"""So much is written at once without waiting longer."""
PICTURE_BYTES = 8 * 1024
"""The same for pictures."""
_CLOSE_S = 5.0
_THUMBNAIL_QUALITY = 60
_MAX_PICTURES = 8
"""Pictures that may wait: each takes a quarter of a megabyte, a record a kilobyte."""


@dataclass(slots=True)
class _Gathered:
    """Records of one camera that wait to be written together."""

    header: LogHeader
    series: Series
    compress: bool
    packed: list[bytes] = field(default_factory=list)
    size: int = 0
    since_s: float = 0.0


class DecisionFiles:
    """Packs, gathers and writes the records of all cameras. Blocking; for one thread.

    Args:
        folder: of the log.
        settings: its bounds.
        meter: what it did.
    """

    def __init__(self, folder: Path, settings: DecisionSettings, meter: DecisionMeter) -> None:
        self._folder = folder
        self._settings = settings
        self._meter = meter
        self._gathered: dict[tuple[str, str], _Gathered] = {}
        self._retry_at_s: float | None = None

    def add(self, header: LogHeader, record: Record, now_s: float) -> None:
        """Take in a record; written with others, or at once where enough have gathered.

        Args:
            header: of its camera's pipeline; another one begins new files.
            record: what to write.
            now_s: monotonic time, seconds.
        """
        camera = header.camera
        if self._retry_at_s is not None and now_s < self._retry_at_s:
            self._meter.dropped.labels(camera).inc()
            return
        suffix = DECISIONS_SUFFIX
        try:
            if isinstance(record, PictureRecord):
                record, suffix = _encoded(record), PICTURES_SUFFIX
            packed = pack(record, header.names)
        except InvalidInput as error:
            self._meter.dropped.labels(camera).inc()
            _log.warning("decision not logged", camera=camera, error=str(error))
            return
        gathered = self._of(header, suffix, now_s)
        if not gathered.packed:
            gathered.since_s = now_s
        gathered.packed.append(packed)
        gathered.size += len(packed)
        if gathered.size >= (GATHER_BYTES if gathered.compress else PICTURE_BYTES):
            self._write(camera, gathered, now_s)

    def due_s(self, now_s: float) -> float | None:
        """In how many seconds something is to be written; ``None`` where nothing waits."""
        waiting = [one.since_s for one in self._gathered.values() if one.packed]
        return max(0.0, min(waiting) + self._settings.flush_s - now_s) if waiting else None

    def flush(self, now_s: float, *, everything: bool = False) -> None:
        """Write what has waited long enough, or everything."""
        for (camera, _), gathered in self._gathered.items():
            if gathered.packed and (
                everything or now_s - gathered.since_s >= self._settings.flush_s
            ):
                self._write(camera, gathered, now_s)

    def close(self, now_s: float) -> None:
        """Write everything and leave the files."""
        self.flush(now_s, everything=True)
        for gathered in self._gathered.values():
            self._leave(gathered)

    def _of(self, header: LogHeader, suffix: str, now_s: float) -> _Gathered:
        camera = header.camera
        found = self._gathered.get((camera, suffix))
        if found is not None and found.header is not header:
            self._write(camera, found, now_s)
            self._leave(found)
            found = None
        if found is None:
            settings = self._settings
            total, one = settings.max_bytes, settings.rotate_bytes
            if suffix == PICTURES_SUFFIX:
                total = settings.picture_bytes
                one = max(1, min(one, total // 4))
            bounds = Bounds(total, one, settings.rotate_s)
            series = Series(self._folder / camera, suffix, header, bounds)
            found = _Gathered(header, series, compress=suffix == DECISIONS_SUFFIX)
            self._gathered[camera, suffix] = found
        return found

    def _write(self, camera: str, gathered: _Gathered, now_s: float) -> None:
        packed, gathered.packed, gathered.size = gathered.packed, [], 0
        if not packed:
            return
        try:
            data = block(packed, compress=gathered.compress)
            gathered.series.append(data, now_s)
        except (OSError, InvalidInput) as error:
            self._meter.dropped.labels(camera).inc(len(packed))
            self._meter.failures.labels(camera).inc()
            if self._retry_at_s is None:
                # Once for each bad time, not once for each block of it.
                _log.error(
                    "decision log stopped", folder=str(self._folder), error=str(error),
                    retry_s=RETRY_S,
                )  # fmt: skip
            self._retry_at_s = now_s + RETRY_S
            return
        if self._retry_at_s is not None:
            _log.info("decision log works again", folder=str(self._folder))
            self._retry_at_s = None
        self._meter.written.labels(camera).inc(len(data))
        self._meter.size.labels(camera).set(
            sum(one.series.size for (c, _), one in self._gathered.items() if c == camera)
        )

    def _leave(self, gathered: _Gathered) -> None:
        try:
            gathered.series.close()
        except OSError as error:
            _log.error("decision log not closed", folder=str(self._folder), error=str(error))


class DecisionLog:
    """`DecisionFiles` behind a queue, in a thread of its own. ``put`` never waits.

    Args:
        folder: of the log.
        settings: its bounds.
        clock: tells how long records have waited.
        registry: where the metrics go.
    """

    def __init__(
        self, folder: Path, settings: DecisionSettings, clock: Clock, registry: CollectorRegistry
    ) -> None:
        self._meter = DecisionMeter(registry)
        self._files = DecisionFiles(folder, settings, self._meter)
        self._clock = clock
        self._headers: dict[str, LogHeader] = {}
        # Records with the header under which they were made; None ends it.
        self._queue: queue.Queue[tuple[LogHeader, Record] | None] = queue.Queue(settings.queue)
        self._pictures = threading.Semaphore(_MAX_PICTURES)
        self._thread = threading.Thread(target=self._run, name="decisions", daemon=True)
        self._closed = False

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def begin(self, header: LogHeader) -> None:
        """A pipeline begins: its camera is logged under this header."""
        self._meter.begin(header.camera)
        self._headers[header.camera] = header

    def put(self, camera: str, records: Iterable[Record]) -> None:
        """Hand over records of a camera that has begun; never waits."""
        header = self._headers[camera]
        for record in records:
            is_picture = isinstance(record, PictureRecord)
            if is_picture and not self._pictures.acquire(blocking=False):
                self._meter.dropped.labels(camera).inc()
                continue
            try:
                self._queue.put_nowait((header, record))
            except queue.Full:
                self._meter.dropped.labels(camera).inc()
                if is_picture:
                    self._pictures.release()

    def close(self) -> None:
        """Write what was handed over and end; a disk that hangs is left alone. Blocking."""
        if self._closed or not self._thread.is_alive():
            return
        self._closed = True
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            _log.error("decision log hangs; what waits is lost")

    def _run(self) -> None:
        while True:
            due_s = self._files.due_s(self._clock.monotonic())
            try:
                item = self._queue.get(timeout=due_s)
            except queue.Empty:
                self._files.flush(self._clock.monotonic())
                continue
            now_s = self._clock.monotonic()
            if item is None:
                self._files.close(now_s)
                return
            header, record = item
            self._files.add(header, record, now_s)
            if isinstance(record, PictureRecord):
                self._pictures.release()
            self._files.flush(now_s)


def _encoded(record: PictureRecord) -> PictureRecord:
    """The picture as bytes; raises `InvalidInput` where it cannot be encoded."""
    if isinstance(record.data, bytes):
        return record
    quality = [cv2.IMWRITE_WEBP_QUALITY, _THUMBNAIL_QUALITY]
    done, data = cv2.imencode(".webp", np.ascontiguousarray(record.data), quality)
    if not done:
        raise InvalidInput("a picture cannot be encoded")
    return PictureRecord(record.sequence, record.kind, data.tobytes())
